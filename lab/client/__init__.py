"""What runs inside the load client container; it imports nothing of podlab, nor podlab it (but for its names)."""

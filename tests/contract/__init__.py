"""What users and other software rely on, frozen: see README.md in this folder."""

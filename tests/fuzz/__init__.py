"""Random damage to everything foreign that podlab reads; ``make fuzz`` runs it for as long as is wanted."""

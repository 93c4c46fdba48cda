"""How Holdfast bears users: `make load TIER=bronze`, `silver` or `gold`."""

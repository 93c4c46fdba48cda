"""How Holdfast bears users: `make load TIER=bronze`, `silver`, `gold` or `reference`."""

"""data/formats."""

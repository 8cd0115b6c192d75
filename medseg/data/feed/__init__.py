"""data/feed."""

"""Data sets, preprocessing and the feed of a training."""

"""Building blocks that the networks share, one a file."""

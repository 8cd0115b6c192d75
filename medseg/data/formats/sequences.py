"""Words for the sequences of MR."""

SEQUENCES = (
    {"flair", "t2f", "fla"},
    {"t1", "t1n", "t1w", "mprage"},
    {"t1ce", "t1c", "t1gd", "t1post", "gado"},
    {"t2", "t2w"},
    {"pd", "dp", "pdw"},
)
"""Words that file names and data sets use for one sequence; nothing else is called so."""

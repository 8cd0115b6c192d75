"""One file per verb: from parsed arguments to a stage, and from its result to the screen."""

"""Scripts, not tests: pytest leaves this folder alone even when it is pointed at it."""

collect_ignore_glob = ["*.py"]

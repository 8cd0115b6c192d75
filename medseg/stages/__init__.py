"""One verb per file: a stage reads artefacts of a run and writes one."""

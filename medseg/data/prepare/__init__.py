"""Read, preprocess, cache and write single cases; fingerprint a data set. No torch."""

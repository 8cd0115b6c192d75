"""Fingerprint numbers to a plan: pure arithmetic, no files, no torch."""

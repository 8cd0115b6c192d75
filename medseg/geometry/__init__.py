"""Grids in the scanner's space."""

from medseg.geometry.grid import Grid

__all__ = ["Grid"]

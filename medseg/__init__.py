"""Train, run and measure segmentation networks on medical volumes, from a recipe or by import."""

__version__ = "0.1.0"

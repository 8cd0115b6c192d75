"""What is done to masks once they are decoded: components and holes, and how that is chosen."""

from medseg.inference.postprocess.steps import MaskStep, Postprocessor

__all__ = ["MaskStep", "Postprocessor"]

"""What validations of a training are judged by, as their logs name it."""

SCORE_NAMES = {"segmentation": "val/dice", "detection": "val/map"}

SCORE_TITLES = {"val/dice": "Dice", "val/map": "mAP"}
"""How tables and sentences name them."""


def key_of(score_name: str) -> str:
    """Return the key of a score in files: ``dice`` of ``val/dice``."""
    return score_name.rpartition("/")[2]

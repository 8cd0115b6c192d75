"""Arguments of the verbs that bring data sets."""

from __future__ import annotations

from pathlib import Path

from medseg.cli.arguments.common import Verb


def add(verb: Verb) -> None:
    """Add ``phantom`` and ``download``."""
    phantom = verb("phantom", "Write an artificial data set.")
    phantom.add_argument("kind", metavar="KIND", help="mr, brats, cells or nodules")
    phantom.add_argument("output", type=Path, metavar="OUT")
    phantom.add_argument("--cases", type=int, default=None, help="number of cases")
    phantom.add_argument("--seed", type=int, default=0)
    phantom.add_argument("--overwrite", action="store_true", help="replace an existing folder")

    download = verb("download", "Fetch a Medical Segmentation Decathlon task.")
    download.add_argument("task", metavar="TASK", help="for example Task04_Hippocampus")
    download.add_argument("-o", "--output", type=Path, default=Path("data"), metavar="FOLDER")

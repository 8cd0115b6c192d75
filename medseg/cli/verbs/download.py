"""``medseg download``."""

from __future__ import annotations

from argparse import Namespace

from medseg.cli.output import print_json, reporter
from medseg.data.download import download


def act(arguments: Namespace) -> None:
    """Fetch a task of the Medical Segmentation Decathlon."""
    folder = download(arguments.task, arguments.output)
    reporter(arguments).say(f"wrote {folder}")
    print_json(arguments, {"output": str(folder)})

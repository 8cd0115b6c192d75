"""``medseg recipes``."""

from __future__ import annotations

from argparse import Namespace

from medseg.cli.output import print_json, reporter
from medseg.recipe.shipped import headline, shipped


def act(arguments: Namespace) -> None:
    """List what ships, with the purpose that each recipe opens with."""
    found = {name: headline(path) for name, path in shipped().items()}
    reporter(arguments).table("medseg run NAME", ("name", "purpose"), list(found.items()))
    print_json(arguments, found)

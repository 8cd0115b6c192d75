"""``medseg recipes``."""

from __future__ import annotations

from argparse import Namespace

from medseg.cli.output import print_json, reporter
from medseg.errors import InputError, did_you_mean
from medseg.recipe.shipped import find, headline, shipped


def act(arguments: Namespace) -> None:
    """List what ships, with the purpose that each recipe opens with; or print one.

    Raises:
        InputError: no recipe, or more than one, has the name.
    """
    if arguments.name is not None:
        _show(arguments, arguments.name)
        return
    found = {name: headline(path) for name, path in shipped().items()}
    reporter(arguments).table("medseg run NAME", ("name", "purpose"), list(found.items()))
    print_json(arguments, found)


def _show(arguments: Namespace, name: str) -> None:
    found = find(name)
    if len(found) != 1:
        known = [key.rsplit("/", 1)[-1] for key in shipped()]
        raise InputError(
            f"{len(found) or 'no'} shipped recipes are called {name!r}",
            remedy=did_you_mean(name, known) or "medseg recipes lists them",
        )
    text = found[0].read_text(encoding="utf-8")
    print_json(arguments, {"name": name, "file": str(found[0]), "text": text})
    if not arguments.json:
        print(text, end="")

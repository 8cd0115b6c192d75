"""Commands that a user types next, as a shell takes them."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from medseg.errors import InputError
from medseg.recipe import load


def predict(run: Path, *, task: str = "segmentation") -> str:
    """Say what segments new images with a run, or finds objects in them."""
    output = "BOXES" if task == "detection" else "MASKS"
    return f"medseg predict {shlex.quote(str(run))} IMAGES -o {output}"


def lead_on(run: Path, *, task: str) -> str:
    """Say how to go on from a run that is trained."""
    aim = "find objects in" if task == "detection" else "segment"
    return f"to {aim} new images: {predict(run, task=task)}"


def run_again(run: Path, *words: str) -> str:
    """Say what goes on with a run where it lies now, though its recipe may name another place.

    Args:
        run: its folder.
        words: further ones of the command line.
    """
    recipe = run / "recipe.yaml"
    try:
        moved = Path(load(str(recipe)).run_dir).resolve() != run.resolve()
    except InputError:
        moved = False
    # Read as YAML, `true` or `a: b` would be no text.
    plain = re.fullmatch(r"[\w.-]*/[\w./-]+", str(run))
    name = str(run) if plain else json.dumps(str(run), ensure_ascii=False)
    place = [f"run_dir={name}"] if moved else []
    return shlex.join(["medseg", "run", str(recipe), *place, *words])

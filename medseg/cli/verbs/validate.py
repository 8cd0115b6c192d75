"""``medseg validate``."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

from medseg.cli.trusted import trusted
from medseg.errors import InputError, InputErrors
from medseg.recipe import check_trusted, load
from medseg.recipe.shipped import shipped


def act(arguments: Namespace) -> int:
    """Check recipes; report every problem of every one of them. Nothing heavy is imported."""
    words = [*arguments.recipe, *arguments.overrides]
    overrides = [word for word in words if "=" in word and not Path(word).exists()]
    recipes = [word for word in words if word not in overrides] or list(
        map(str, shipped().values())
    )
    trust = trusted(arguments)
    found = {name: _problems(name, overrides, trust) for name in recipes}
    problems = [line for lines in found.values() for line in lines]
    if arguments.json:
        print(json.dumps(found, indent=1))
    else:
        for line in problems:
            print(line, file=sys.stderr)
        if not arguments.quiet and not problems:
            print(f"{len(found)} recipe{'s' if len(found) > 1 else ''}: no problems")
    return 2 if problems else 0


def _problems(name: str, overrides: list[str], trust: tuple[str, ...]) -> list[str]:
    try:
        recipe = load(name, overrides, trust=trust)
        if trust:
            check_trusted(recipe, trust=trust)
    except InputErrors as errors:
        return [str(problem) for problem in errors.problems]
    except InputError as error:
        return [str(error)]
    return []

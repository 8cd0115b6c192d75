"""``medseg validate``."""

from __future__ import annotations

import json
import sys
from argparse import Namespace

from medseg.errors import InputError, InputErrors
from medseg.recipe import load
from medseg.recipe.shipped import shipped


def act(arguments: Namespace) -> int:
    """Check recipes; report every problem of every one of them. Nothing heavy is imported."""
    found: dict[str, list[str]] = {}
    for name in arguments.recipe or [str(path) for path in shipped()]:
        try:
            load(name, (), trust=tuple(arguments.trust))
            found[name] = []
        except InputErrors as errors:
            found[name] = [str(problem) for problem in errors.problems]
        except InputError as error:
            found[name] = [str(error)]
    problems = [line for lines in found.values() for line in lines]
    if arguments.json:
        print(json.dumps(found, indent=1))
    else:
        for line in problems:
            print(line, file=sys.stderr)
        if not arguments.quiet and not problems:
            print(f"{len(found)} recipe{'s' if len(found) > 1 else ''}: no problems")
    return 2 if problems else 0

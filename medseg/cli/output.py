"""How verbs answer: a person reads lines and tables, a program reads JSON."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from medseg.stages.reporter import Reporter


def reporter(arguments: Namespace) -> Reporter:
    """Make the reporter that ``--quiet`` and ``--json`` ask for."""
    return Reporter(quiet=arguments.quiet, json=arguments.json)


def print_json(arguments: Namespace, result: Any) -> None:
    """Print ``result`` if ``--json`` was given."""
    if arguments.json:
        print(json.dumps(result, indent=1, default=str))

"""The packages whose code the user lets run."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path


def trusted(arguments: Namespace) -> tuple[str, ...]:
    """Return the packages of ``--trust``, which may lie in the working folder, as for python -m."""
    if arguments.trust and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # last: its files must not stand in for other packages
    return tuple(arguments.trust)

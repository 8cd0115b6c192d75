"""``medseg doctor``."""

from __future__ import annotations

from argparse import Namespace

from medseg.cli.output import print_json, reporter
from medseg.stages import doctor


def act(arguments: Namespace) -> None:
    """Print what was found and how to mend what is missing."""
    checks = doctor.run()
    say = reporter(arguments)
    say.table("", ("what", "found"), [(c.name, c.found) for c in checks])
    for check in checks:
        if check.remedy:
            say.say(f"{check.name}: {check.remedy}")
    print_json(arguments, doctor.to_json(checks))

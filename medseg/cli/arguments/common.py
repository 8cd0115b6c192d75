"""Arguments that several verbs take."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable

from medseg.cli.arguments.kinds import amount, number

Verb = Callable[[str, str], ArgumentParser]
"""Makes the parser of a verb, from its name and what it does."""

# The address that `--ray` alone stands for.
THIS_MACHINE = "local"


def recipe(sub: ArgumentParser, *, what: str = "recipe") -> None:
    """Take a recipe and its overrides."""
    sub.add_argument(
        "recipe", metavar="RECIPE", help=f"{what}: a file, or the name of a shipped one"
    )
    sub.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="override a value of the recipe"
    )
    trust_and_overwrite(sub)


def extend(sub: ArgumentParser) -> None:
    """Take how much longer a training shall go on."""
    sub.add_argument(
        "--extend",
        type=amount,
        metavar="AMOUNT",
        help="train a finished or interrupted training for this much longer: 30m, or 500 steps",
    )


def ray(sub: ArgumentParser, what: str) -> None:
    """Take a cluster, and what each ``what`` takes of it."""
    sub.add_argument(
        "--ray",
        nargs="?",
        const=THIS_MACHINE,
        metavar="ADDRESS",
        help=f"run each {what} where a Ray cluster has room; without ADDRESS on this machine",
    )
    for name, kind in (("cpus", "cores"), ("gpus", "GPUs")):
        sub.add_argument(
            f"--{name}", type=number, metavar="N", help=f"(--ray) {kind} for each {what}"
        )


def trust_and_overwrite(sub: ArgumentParser) -> None:
    """Take what a verb that runs code and writes results is allowed to do."""
    trust(sub)
    sub.add_argument("--overwrite", action="store_true", help="replace existing results")


def trust(sub: ArgumentParser) -> None:
    """Take packages whose code may run."""
    sub.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="allow components of this package to be imported and run",
    )

"""Arguments of the verbs that write, check and explain recipes and networks."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from medseg.cli.arguments.common import Verb, trust
from medseg.cli.arguments.kinds import positive


def add(verb: Verb) -> None:
    """Add ``describe``, ``validate``, ``init``, ``recipes`` and ``doctor``."""
    _describe(verb("describe", "Say what a network is made of: layers, cost, receptive field."))

    validate = verb("validate", "Check recipes without running anything.")
    validate.add_argument(
        "recipe", nargs="*", metavar="RECIPE", help="recipes, and KEY=VALUE overrides"
    )
    trust(validate)
    validate.set_defaults(overrides=[])

    init = verb("init", "Recognise a data folder and write a commented recipe for it.")
    init.add_argument("folder", type=Path, metavar="DATA_FOLDER")
    init.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help="data.…: how it is read, what it shows, its folds; task=detection, detection.…",
    )
    init.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: NAME.yaml here")
    init.add_argument("--overwrite", action="store_true", help="replace an existing recipe")

    recipes = verb("recipes", "List the recipes that ship, or print one.")
    recipes.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="print this one: medseg recipes template > mine.yaml",
    )
    doctor = verb("doctor", "Check the machine, or whether a recipe's training fits it.")
    doctor.add_argument(
        "recipe",
        nargs="?",
        metavar="RECIPE",
        help="a file, or the name of a shipped one; without it: versions, devices, memory, disk",
    )
    doctor.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="override a value of the recipe"
    )
    trust(doctor)


def _describe(describe: ArgumentParser) -> None:
    describe.add_argument(
        "subject", metavar="NAME|RECIPE|CKPT", help="a network, a recipe, a checkpoint or a run"
    )
    describe.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="override a value of the recipe"
    )
    named = describe.add_argument_group("of a network by its name")
    named.add_argument("--spatial-dims", type=int, choices=(2, 3), help="default: 3")
    named.add_argument("--channels", type=positive, metavar="N", help="of the input; default: 1")
    named.add_argument("--classes", type=positive, metavar="N", help="default: 2")
    named.add_argument(
        "--patch", type=positive, nargs="+", metavar="N", help="voxels per axis of the input"
    )
    named.add_argument(
        "--features", type=positive, nargs="+", metavar="N", help="channels per stage"
    )
    named.add_argument(
        "--set", action="append", metavar="KEY=VALUE", help="another argument of the network"
    )
    describe.add_argument("--picture", type=Path, metavar="FILE", help="draw it: .png or .svg")
    describe.add_argument("--overwrite", action="store_true", help="replace an existing picture")
    trust(describe)

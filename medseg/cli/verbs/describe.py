"""``medseg describe``."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from medseg.cli.job import open_job
from medseg.cli.output import print_json, reporter
from medseg.cli.trusted import trusted
from medseg.errors import InputError
from medseg.networks.anatomy import picture
from medseg.networks.anatomy.layers import Anatomy
from medseg.recipe.overrides import read_overrides
from medseg.recipe.problems import Problem, raise_all
from medseg.stages import describe

_OF_A_NAME = ("spatial_dims", "channels", "classes", "patch", "features", "set")


def act(arguments: Namespace) -> None:
    """Print the layers of a network, and draw it if asked."""
    say, file = reporter(arguments), arguments.picture
    if file is not None:
        picture.check(file, overwrite=arguments.overwrite)
    anatomy = _anatomy(arguments)
    if file is not None:
        picture.draw(anatomy, file, overwrite=arguments.overwrite)
    describe.show(say, anatomy)
    if file is not None:
        say.say(f"drew {file}")
    print_json(arguments, anatomy.to_dict())


def _anatomy(arguments: Namespace) -> Anatomy:
    """Describe what the first argument means."""
    kind = describe.kind_of(arguments.subject)
    given = [f"--{key.replace('_', '-')}" for key in _OF_A_NAME if getattr(arguments, key)]
    if kind != "network" and given:
        raise InputError(
            f"{', '.join(given)}: these are for the name of a network",
            found=f"{arguments.subject}, a {kind}, which says all this itself",
            remedy="override the recipe: plan.patch_size=[40,56,40]" if kind == "recipe" else None,
        )
    if kind != "recipe" and arguments.overrides:
        raise InputError(
            "KEY=VALUE overrides a recipe",
            found=f"{arguments.subject}, a {kind}",
            remedy=f"--set {arguments.overrides[0]}" if kind == "network" else None,
        )
    if kind == "network":
        return describe.of_name(arguments.subject, _choices(arguments), trust=trusted(arguments))
    if kind == "checkpoint":
        return describe.of_checkpoint(Path(arguments.subject), trust=trusted(arguments))
    # --overwrite is for the picture: it must not reach the run.
    of_recipe = {**vars(arguments), "recipe": arguments.subject, "overwrite": False}
    with open_job(Namespace(**of_recipe)) as job:
        return describe.of_recipe(job)


def _choices(arguments: Namespace) -> describe.Choices:
    problems: list[Problem] = []
    layer = read_overrides([f"network.{word}" for word in arguments.set or ()], problems)
    raise_all(problems)
    given = {
        "spatial_dims": arguments.spatial_dims,
        "channels": arguments.channels,
        "classes": arguments.classes,
        "patch": tuple(arguments.patch or ()),
        "features": tuple(arguments.features or ()),
        "arguments": layer.plain().get("network"),
    }
    return describe.Choices(**{key: value for key, value in given.items() if value})

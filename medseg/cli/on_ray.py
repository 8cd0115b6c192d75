"""What ``--ray``, ``--cpus`` and ``--gpus`` ask for."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager

from medseg.cli.output import reporter
from medseg.errors import InputError
from medseg.recipe import Recipe
from medseg.stages.ray_cluster import RayCluster, connected


@contextmanager
def cluster(arguments: Namespace, recipe: Recipe, *, apart: int) -> Iterator[RayCluster | None]:
    """Connect to the cluster of ``--ray``; give ``None`` without it.

    Args:
        arguments: of the verb.
        recipe: what is trained.
        apart: how many trainings there will be.

    Raises:
        InputError: see `connected`; or the options contradict each other or the recipe.
    """
    if arguments.ray is None:
        if arguments.cpus is not None or arguments.gpus is not None:
            raise InputError("--cpus and --gpus say what a training takes of --ray's cluster")
        yield None
        return
    devices = recipe.trainer.devices
    if isinstance(devices, tuple) or getattr(arguments, "crew", None) is not None:
        raise InputError(
            "--ray chooses the devices of each training",
            found=f"trainer.devices={list(devices)}" if isinstance(devices, tuple) else "torchrun",
            remedy="trainer.devices=1, and without torchrun or srun",
        )
    on_cpu = recipe.trainer.accelerator in ("cpu", "mps")
    with connected(
        arguments.ray,
        apart=apart,
        cpus=arguments.cpus,
        gpus=arguments.gpus,
        wants_gpus=0 if on_cpu else devices,
    ) as found:
        reporter(arguments).say(
            f"on Ray: {found.each} for each training, {found.capacity} of {apart} at once"
        )
        yield found

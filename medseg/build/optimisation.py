"""The optimiser and the schedule of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from medseg.errors import InputError
from medseg.recipe import Recipe

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from medseg.training.schedule import Schedule

Made = TypeVar("Made")


def build_optimizer(
    recipe: Recipe, *, trust: Sequence[str] = ()
) -> Callable[[Iterable[Any]], Optimizer]:
    """Return a function that makes the optimiser from parameters or groups.

    Raises:
        InputError: it refuses its arguments.
    """
    import torch

    from medseg.training.fused import optimizer_factory

    section = recipe.optimizer
    make = optimizer_factory(section.resolve(trust=trust), section.arguments)
    # Asked now, for the parameters come only when the training begins.
    some = torch.nn.Parameter(torch.zeros(8, 8, 3))
    _accepted(recipe, "optimizer", section.arguments, lambda: make([some]))
    return make


def build_schedule(recipe: Recipe, *, trust: Sequence[str] = ()) -> Schedule:
    """Return the schedule of the learning rate.

    Raises:
        InputError: it refuses its arguments.
    """
    section = recipe.schedule
    cls = section.resolve(trust=trust)
    return _accepted(recipe, "schedule", section.arguments, lambda: cls(**section.arguments))


def _accepted(
    recipe: Recipe, key: str, arguments: Mapping[str, Any], make: Callable[[], Made]
) -> Made:
    try:
        return make()
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the {key} {getattr(recipe, key).name} refuses its arguments: {error}",
            file=recipe.at(key),
            found=", ".join(f"{name}: {value}" for name, value in arguments.items()) or None,
        ) from error

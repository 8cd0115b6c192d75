"""The transforms that a recipe asks for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from medseg.build.plan import preset
from medseg.labels import LabelScheme
from medseg.planning.mirroring import mirrored_in_training
from medseg.planning.plan import Plan
from medseg.recipe import Recipe

if TYPE_CHECKING:
    from medseg.data.feed.augment.transform import BatchTransform, LoaderTransform

# From here on a mild training mirrors left–right, too: it gains once the cases were seen about 30
# times, and costs as much before (measured on MSD Task04, docs/performance.md). The clock, not the
# device, decides, so that a recipe means the same on every machine.
_LONG_BUDGET, _LONG_STEPS, _LONG_EPOCHS = 600.0, 1500, 30


def build_augmentation(
    recipe: Recipe, plan: Plan, labels: LabelScheme, *, trust: Sequence[str] = ()
) -> list[BatchTransform | LoaderTransform]:
    """Make the transforms of a training.

    Args:
        recipe: says which, by name or one by one.
        plan: patch, spacing and axes.
        labels: the classes, which may be named after a side of the body.
        trust: top-level packages whose own transforms may be imported.

    Raises:
        InputError: a transform is unknown or refuses its arguments.
    """
    from medseg.data.feed.augment import registry
    from medseg.data.feed.augment.defaults import default, light

    spacing = plan.preprocessing.spacing
    mirrored = partial(
        mirrored_in_training, plan.preprocessing.orientation, plan.patch_size, labels.foreground
    )
    if not isinstance(recipe.augmentation, str):
        # A mirror that names no axes, such as that of base/2d, leaves a class on its side.
        most = {"mirror": {"axes": mirrored(mild=False)}}
        return [
            registry.create(
                item.name,
                {**most.get(item.name, {}), **item.arguments},
                spacing=spacing,
                trust=trust,
            )
            for item in recipe.augmentation
        ]
    mild = recipe.augmentation == "light" or preset(recipe) == "fast"
    mild = mild and recipe.augmentation != "strong"
    axes: tuple[int, ...] = ()
    if not mild or _long(recipe):
        axes = mirrored(mild=mild)
    return list((light if mild else default)(plan.patch_size, spacing=spacing, mirror_axes=axes))


def mirrored_axes(transforms: Iterable[Any], patch_size: Sequence[int]) -> tuple[int, ...]:
    """Give the axes that some of the transforms reverse."""
    from medseg.data.feed.augment.mirror import Mirror

    axes: set[int] = set()
    for one in transforms:
        if isinstance(one, Mirror) and one.p > 0:
            axes |= set(range(len(patch_size)) if one.axes is None else one.axes)
    return tuple(axis for axis, n in enumerate(patch_size) if axis in axes and n > 1)


def _long(recipe: Recipe) -> bool:
    trainer = recipe.trainer
    return (
        float(trainer.budget or 0) >= _LONG_BUDGET
        or (trainer.steps or 0) >= _LONG_STEPS
        or (trainer.epochs or 0) >= _LONG_EPOCHS
    )

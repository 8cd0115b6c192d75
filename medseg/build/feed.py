"""The feed of a training: sampling, augmentation, loaders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from medseg.build.augmentation import build_augmentation
from medseg.build.cascade import guidance_of
from medseg.build.needs import needs_of
from medseg.data.case import Dataset
from medseg.planning.plan import Plan
from medseg.recipe import Recipe

if TYPE_CHECKING:
    from medseg.data.feed.cases import FeedCase
    from medseg.data.feed.datamodule import SegmentationDataModule


def build_data(
    recipe: Recipe,
    plan: Plan,
    dataset: Dataset,
    train: Sequence[FeedCase],
    val: Sequence[FeedCase],
    *,
    trust: Sequence[str] = (),
) -> SegmentationDataModule:
    """Make the feed: sampling, augmentation and loaders."""
    from medseg.data.feed.datamodule import SegmentationDataModule
    from medseg.data.feed.guide import cascade_augmentation

    guidance = guidance_of(recipe, dataset.labels)
    return SegmentationDataModule(
        train,
        val,
        patch_size=plan.patch_size,
        context=needs_of(recipe, plan).context,
        batch_size=plan.batch_size,
        steps_per_epoch=_epoch(recipe, -(-len(train) // plan.batch_size)),
        seed=recipe.seed,
        augmentation=build_augmentation(recipe, plan, dataset.labels, trust=trust),
        num_workers=recipe.data.workers,
        cache=recipe.data.cache,
        spacing=plan.preprocessing.spacing,
        masked=[n for n, one in enumerate(plan.preprocessing.normalisation) if one.masked],
        guide_classes=guidance.channels if guidance else 0,
        # Who wants no augmentation wants none of the guide either.
        guide_augmentation=cascade_augmentation() if recipe.augmentation else (),
        min_visible=recipe.detection.min_visible,
    )


def _epoch(recipe: Recipe, once: int) -> int:
    """Count the batches of an epoch, in whole steps: Lightning would end it with a weaker one."""
    batches, each = recipe.trainer.steps_per_epoch or once, recipe.trainer.accumulate
    return -(-batches // each) * each

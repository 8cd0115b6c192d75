"""How long a run will take, and what it will leave, from one case and one step."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, prod
from pathlib import Path

from medseg.build.device import device_count
from medseg.build.fitted import Fitted, without_values
from medseg.data.case import Case, Dataset, LabelVolume, Volume
from medseg.data.prepare.space import prepared_shape
from medseg.machine import usable_cores
from medseg.planning.fast import STEPS_SHARE
from medseg.planning.fingerprint import Fingerprint
from medseg.planning.plan import Plan
from medseg.recipe import Recipe
from medseg.training.budget import LARGEST_SHARE

# A checkpoint holds weights, their average and an optimiser's two moments; there are best and last,
# and one more while it is written.
_COPIES, _CHECKPOINTS = 4, 3
# Reading is done twice, for the fingerprint and for the cache.
_READS = 2
# A case that would have more voxels is preprocessed to a coarser spacing, and the rest reckoned.
_MOST_TRIED = 30_000_000


@dataclass(frozen=True)
class Forecast:
    """Seconds, and steps.

    Attributes:
        step: one optimiser step.
        steps: how many there will be.
        preparation: fingerprint and cache, as far as they are not there.
        validation: one of them.
        training: all steps and validations.
        whole: from start to end.
        largest_share: of a budget that its last validation may take.
    """

    step: float
    steps: int
    preparation: float
    validation: float
    training: float
    whole: float
    largest_share: float


def forecast(
    recipe: Recipe,
    folder: Path,
    dataset: Dataset,
    plan: Plan,
    found: Fingerprint,
    fitted: Fitted,
) -> Forecast:
    """Foretell the times of a run; they are right within a factor of two, seldom better.

    Args:
        recipe: with the accumulation that goes with what ``fitted`` says.
        folder: of the run.
        dataset: the data set.
        plan: with the patch and the batch that ``fitted`` says.
        found: what the data are.
        fitted: what one of the devices takes.

    Raises:
        InputError: the case that is tried cannot be read or preprocessed.
    """
    trainer = recipe.trainer
    step = fitted.measured.seconds * trainer.accumulate
    preparation = _preparation(recipe, folder, dataset, plan, found)
    held_out = 0 if recipe.data.fold == "all" else ceil(len(found.cases) / recipe.data.folds)
    # One process predicts what was held out; validations are shared out, case by case.
    forward = fitted.measured.forward_seconds / fitted.load.batch_size
    a_case = _windows(recipe, plan, found) * forward
    validated = min(held_out, trainer.validation_cases or held_out)
    validation = a_case * ceil(validated / device_count(recipe))
    steps, training = _training(recipe, plan, len(found.cases) - held_out, step, validation)
    whole = preparation + training + a_case * held_out
    return Forecast(step, steps, preparation, validation, training, whole, LARGEST_SHARE)


def cached_cases(folder: Path) -> int:
    """Count the entries of a run's cache, by names alone."""
    try:
        return sum(1 for entry in (folder / "cache").iterdir() if "." not in entry.name)
    except OSError:
        return 0


def run_folder_bytes(
    recipe: Recipe, plan: Plan, dataset: Dataset, found: Fingerprint, *, trust: Sequence[str] = ()
) -> int:
    """Foretell the bytes of checkpoints and predictions, cache apart."""
    network = without_values(recipe, plan, dataset, trust=trust)
    weights = 4 * sum(p.numel() for p in network.parameters())
    # Boxes take nothing.
    voxels = 0 if dataset.objects is not None else sum(prod(case.shape) for case in found.cases)
    return _CHECKPOINTS * _COPIES * weights + voxels // (2 * recipe.data.folds)


def _training(
    recipe: Recipe, plan: Plan, cases: int, step: float, validation: float
) -> tuple[int, float]:
    """Give the steps and the seconds of a training."""
    trainer = recipe.trainer
    if trainer.steps is None and trainer.epochs is None:
        budget = float(trainer.budget or 0)
        left = max(0.0, min(budget * STEPS_SHARE, budget - validation))
        return int(left / step), budget
    steps = trainer.steps or 0
    if trainer.epochs is not None:
        batches = trainer.steps_per_epoch or ceil(cases / plan.batch_size)
        steps = trainer.epochs * ceil(batches / trainer.accumulate)
    validations = (
        ceil(steps / trainer.validate_every) if isinstance(trainer.validate_every, int) else 10
    )
    return steps, steps * step / STEPS_SHARE + validations * validation


def _windows(recipe: Recipe, plan: Plan, found: Fingerprint) -> float:
    """Count the windows of a forward pass that the mean case takes."""
    from medseg.inference.window import window_starts

    every = max(1, len(found.cases) // 64)
    some = found.cases[::every]
    total = 0
    for case in some:
        prepared = prepared_shape(case, plan.preprocessing)
        shape = [max(n, p) for n, p in zip(prepared, plan.patch_size, strict=True)]
        total += len(window_starts(shape, plan.patch_size, recipe.inference.overlap))
    return total / len(some)


def _preparation(
    recipe: Recipe, folder: Path, dataset: Dataset, plan: Plan, found: Fingerprint
) -> float:
    """Time a small case and scale by the voxels of those that are not in the cache."""
    from medseg.data.prepare.preprocess import preprocess
    from medseg.data.prepare.reading import read_image

    missing = max(0, len(found.cases) - cached_cases(folder))
    if not missing:
        return 0.0
    # The smallest, so that the check stays short; a first reading also imports what it needs.
    number = min(range(len(found.cases)), key=lambda i: prod(found.cases[i].shape))
    case = dataset.cases[number]
    finer = max(1.0, prod(prepared_shape(found.cases[number], plan.preprocessing)) / _MOST_TRIED)
    coarser = [s * finer ** (1 / plan.spatial_dims) for s in plan.preprocessing.spacing]
    tried = replace(plan.preprocessing, spacing=tuple(coarser))
    read = prepared = float("inf")
    for _ in range(2):
        started = time.perf_counter()
        volume = read_image(case, channels=len(dataset.channels))
        label = _label(case, volume, dataset)
        read = min(read, time.perf_counter() - started)
        preprocess(volume, tried, label)
        prepared = min(prepared, time.perf_counter() - started - read)
        if read + prepared > 1:
            break
    voxels = sum(prod(case.shape) for case in found.cases) * missing / len(found.cases)
    workers = recipe.data.workers
    processes = max(1, min(usable_cores(), 8) if workers is None else workers)
    seconds = (
        (_READS * read + max(0.0, prepared) * finer) * voxels / prod(found.cases[number].shape)
    )
    return seconds / processes


def _label(case: Case, volume: Volume, dataset: Dataset) -> LabelVolume | None:
    """Read what is annotated in a case, as the cache does."""
    from medseg.data.prepare.objects import read_objects
    from medseg.data.prepare.reading import read_label

    labels, value_map = dataset.labels, dataset.value_map
    if dataset.objects is not None:
        return read_objects(case, volume, dataset.objects, labels, value_map=value_map).label
    if case.label is None:
        return None
    return read_label(case.label, labels, value_map=value_map, like=volume)

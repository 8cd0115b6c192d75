"""What was seen of a training as rows of needs: a step, memory, disk and time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path

from medseg import build
from medseg.build.device import GIB, device_count, training_device
from medseg.build.fitted import Fitted
from medseg.data.case import Dataset
from medseg.data.prepare.space import expected_bytes, free_bytes
from medseg.errors import InputError
from medseg.machine import memory_available, resident_memory
from medseg.stages.dry_look import Look
from medseg.stages.forecast import Forecast
from medseg.stages.need import Need

_FIRST = "first stage: "


def of_one(seen: Look, dataset: Dataset) -> list[Need]:
    """Say what a training takes, disk apart."""
    if seen.refused is not None:
        return [_refused(seen.refused)]
    assert seen.fitted is not None and seen.guess is not None
    return [
        _step(seen.fitted, seen),
        *_memory(seen.fitted, seen, dataset),
        *_time(seen.guess, seen),
    ]


def of_first(seen: Look, dataset: Dataset) -> Iterator[Need]:
    """Say what a fold of a first stage takes that is trained along."""
    for need in of_one(seen, dataset):
        remedy = need.remedy and need.remedy.replace("plan.spacing", "cascade.spacing")
        if remedy and "plan." in remedy:  # which is the second stage's
            remedy = f"cascade.first=RUN, of the first stage as a run of its own with {remedy}"
        yield replace(need, name=f"{_FIRST}{need.name}", remedy=remedy)


def disk(looks: Sequence[Look], folder: Path) -> Need:
    """Say what all stages leave."""
    cache, run = sum(seen.cache for seen in looks), sum(seen.disk for seen in looks)
    free = free_bytes(folder)
    fits = cache + run <= free
    text = f"{gib(cache + run)}: cache {gib(cache)}, checkpoints and predictions {gib(run)}"
    remedy = "free some space, or choose another disk with run_dir=FOLDER"
    return Need("disk", text, f"{gib(free)} free", fits, None if fits else remedy)


def whole(looks: Sequence[Look]) -> list[Need]:
    """Say how long all stages take; nothing, where one of them cannot be trained."""
    if any(seen.refused for seen in looks):
        return []
    text = duration(sum(seen.seconds for seen in looks))
    count = sum(seen.trainings for seen in looks)
    return [Need("time from start to end", f"{text}, {count} trainings" if count > 1 else text)]


def _refused(error: InputError) -> Need:
    return Need("training step", error.expected or "", error.found or "none", False, error.remedy)


def _step(fitted: Fitted, seen: Look) -> Need:
    patch = " x ".join(map(str, seen.plan.patch_size))
    text = f"{gib(fitted.measured.bytes)}: batch {seen.plan.batch_size}, patch {patch}"
    if fitted.load.accumulate > 1:
        text += f", {fitted.load.accumulate} batches a step"
    if fitted.planned is not None:
        text += f" (the planned one would take {gib(fitted.planned)})"
    return Need("training step", text, "" if fitted.room is None else gib(fitted.room))


def _memory(fitted: Fitted, seen: Look, dataset: Dataset) -> list[Need]:
    free = memory_available()
    if free is None:
        return []
    recipe, found, plan = seen.recipe, seen.found, seen.plan
    processes = device_count(recipe)
    on_cpu = training_device(recipe).type == "cpu"
    step = fitted.measured.bytes * processes if on_cpu else 0
    largest = max(found.cases, key=lambda case: prod(case.shape))
    image = expected_bytes(found, plan.preprocessing, [largest.id])
    channels = len(plan.preprocessing.normalisation)
    read = build.input_channels(recipe, plan, dataset.labels)
    # A validation holds an image, its logits and what they are summed up in; of boxes no logits.
    outputs = 0 if dataset.objects is not None else len(found.labels["values"]) + 1
    volume = round(image * (read + 2 * outputs) / channels) * processes
    total = step + seen.in_memory + volume
    parts = [(step, "step"), (seen.in_memory, "cases"), (volume, "validation")]
    text = f"{gib(total)}: " + ", ".join(f"{name} {gib(size)}" for size, name in parts if size)
    fits = total <= free
    if seen.in_memory and total - seen.in_memory <= free:
        remedy = "data.cache=disk, which reads patches from the cache"
    else:
        remedy = "a coarser plan.spacing, or a machine with more memory"
    there = f"{gib(free)} beyond the {gib(resident_memory())} held now"
    return [Need("memory", text, there, fits, None if fits else remedy)]


def _time(guess: Forecast, seen: Look) -> list[Need]:
    trainer = seen.recipe.trainer
    rows = [
        Need("time of a step", f"{guess.step:.3g} s, loading and augmentation apart"),
        Need("time to prepare", duration(guess.preparation)),
        Need("time of a validation", duration(guess.validation)),
    ]
    if trainer.budget is None or trainer.steps is not None or trainer.epochs is not None:
        needed = f"{duration(guess.training)} for {guess.steps:,} steps"
        return [*rows, Need("training", needed)]
    budget = float(trainer.budget)
    least = guess.validation / guess.largest_share
    enough = least <= budget and guess.steps >= 1
    least = max(least, guess.validation + guess.step)
    remedy = (
        f"trainer.budget={_short(least)} or more, fewer trainer.validation_cases, or data.fold=all"
    )
    needed = f"{duration(least)} at least, for one step and one validation"
    there = f"{duration(budget)}: about {guess.steps:,} steps"
    return [*rows, Need("budget", needed, there, enough, None if enough else remedy)]


def gib(size: float) -> str:
    """Write bytes in words."""
    return f"{size / GIB:.2f} GiB" if size >= GIB / 100 else f"{size / 2**20:.1f} MiB"


def duration(seconds: float) -> str:
    """Write seconds in words."""
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _short(seconds: float) -> str:
    return f"{int(seconds) + 1}s" if seconds < 90 else f"{int(seconds / 60) + 1}m"

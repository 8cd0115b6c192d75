"""Does a training fit this machine: memory, disk and time, before anything long starts."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from medseg import build
from medseg.build.device import (
    GIB,
    check_device,
    device_count,
    device_name,
    free_memory,
    training_device,
    training_precision,
)
from medseg.build.fitted import (
    MARGIN,
    Fitted,
    fit_plan,
    fit_recipe,
    fit_to_device,
    fixed_by_user,
    of_all,
    per_process,
)
from medseg.data.case import Dataset
from medseg.data.feed.sampler import part_of
from medseg.data.prepare.headers import foretell_fingerprint
from medseg.data.prepare.space import expected_bytes, free_bytes
from medseg.errors import InputError
from medseg.machine import memory_available, resident_memory
from medseg.planning.fingerprint import Fingerprint
from medseg.planning.plan import Plan
from medseg.recipe import Recipe
from medseg.stages import inherited, inspect, plan_file
from medseg.stages.forecast import Forecast, cached_cases, forecast, run_folder_bytes
from medseg.stages.memory import bytes_in_memory
from medseg.stages.speed import as_speed, device_speed
from medseg.stages.splits import folds_of

# Cases that a phantom is judged by before it is written.
_PHANTOMS = 4


@dataclass(frozen=True)
class Need:
    """One thing that a training needs.

    Attributes:
        name: what.
        need: how much.
        there: how much there is; empty where nothing sets a limit.
        fits: whether it is enough.
        remedy: the setting that mends it, if not.
    """

    name: str
    need: str
    there: str = ""
    fits: bool = True
    remedy: str | None = None

    @property
    def verdict(self) -> str:
        """Say it in a word."""
        return "" if not self.there else "fits" if self.fits else "does not fit"


def run(
    recipe: Recipe,
    folder: Path,
    *,
    trust: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> list[Need]:
    """Look at what a recipe's training needs and at what this machine has; nothing is written.

    Data are judged by ``fingerprint.json`` where the run has one, else by a few files' headers.
    One case is read and preprocessed, and one training step is taken on made-up images.

    Args:
        recipe: the recipe.
        folder: of the run.
        trust: packages whose code may run.
        say: told what is being tried.

    Raises:
        InputError: the device, the data or the fold are not there, the plan does not fit the data,
            or the weights to start from do not fit the network.
    """
    check_device(recipe)
    device, processes = training_device(recipe), device_count(recipe)
    name = device_name(device) if processes == 1 else f"{processes} x {device_name(device)}"
    with _dataset(recipe, folder) as dataset:
        folds_of(recipe, dataset, folder)
        found, told = _fingerprint(folder, dataset)
        plan, edits = _plan(recipe, folder, found)
        part_of(plan.batch_size, rank=0, world_size=processes)  # or say that it cannot be
        if recipe.transfer is not None and not inherited.has_begun(recipe, folder):
            build.check_transfer(recipe, plan, dataset, trust=trust)
        guidance = build.guidance_of(recipe, dataset.labels)
        guide = guidance.channels if guidance else 0
        cases = expected_bytes(found, plan.preprocessing, guided=guide > 0)
        on_gpu = device.type == "cuda"
        in_memory = bytes_in_memory(recipe, cases, on_gpu=on_gpu, processes=processes)
        free = free_memory(device)
        room = None if free is None else max(0, round(free * MARGIN))
        if room is not None and device.type == "cpu":
            room = max(0, room - in_memory) // processes
        say("  one step on made-up images …")
        try:
            fitted = fit_to_device(
                recipe,
                per_process(plan, processes),
                dataset,
                device=device,
                room=room,
                precision=training_precision(recipe),
                fixed=fixed_by_user(recipe, edits),
                trust=trust,
            )
        except InputError as error:
            return [
                Need("device", name),
                _refused(error),
                *_disk(recipe, folder, dataset, plan, found, cases, trust),
            ]
        load = of_all(fitted.load, plan, processes)
        plan = fit_plan(plan, load)
        say("  one case, read and preprocessed …")
        guess = forecast(fit_recipe(recipe, load), folder, dataset, plan, found, fitted)
        return [
            Need("device", name),
            Need("data", f"{len(found.cases)} cases, {told}"),
            *([] if guidance is None else [_second(recipe)]),
            _step(fitted, plan),
            *_memory(device.type, fitted, found, plan, in_memory, guide, processes),
            *_disk(recipe, folder, dataset, plan, found, cases, trust),
            *_time(recipe, guess),
        ]


def problems(needs: Sequence[Need]) -> list[InputError]:
    """Return what does not fit, each with its remedy."""
    return [
        InputError(
            f"{need.name}: does not fit", expected=need.need, found=need.there, remedy=need.remedy
        )
        for need in needs
        if not need.fits
    ]


def to_json(needs: Sequence[Need]) -> list[dict[str, Any]]:
    """Return plain containers."""
    return [asdict(need) for need in needs]


@contextmanager
def _dataset(recipe: Recipe, folder: Path) -> Iterator[Dataset]:
    """Give the data set; of a phantom that is not written yet, a few cases for a moment."""
    phantom = recipe.data.phantom
    if recipe.data.format != "phantom" or phantom is None or list(folder.glob("phantom_*")):
        yield build.build_dataset(recipe, folder)
        return
    few = phantom.model_copy(update={"cases": min(phantom.cases, _PHANTOMS)})
    data = recipe.data.model_copy(update={"phantom": few})
    with tempfile.TemporaryDirectory(prefix="medseg-") as place:
        found = build.build_dataset(recipe.model_copy(update={"data": data}), Path(place))
        copies = [
            replace(found.cases[i % len(found.cases)], id=f"{i:05d}") for i in range(phantom.cases)
        ]
        yield replace(found, cases=tuple(copies))


def _fingerprint(folder: Path, dataset: Dataset) -> tuple[Fingerprint, str]:
    known = inspect.read(folder / "fingerprint.json")
    if known is not None and [case.id for case in known.cases] == [c.id for c in dataset.cases]:
        return known, "from fingerprint.json"
    return foretell_fingerprint(dataset), "guessed from headers, empty margins included"


def _plan(recipe: Recipe, folder: Path, found: Fingerprint) -> tuple[Plan, list[str]]:
    old = plan_file.read(folder / "plan.yaml")
    edits = {k: v for k, v in old.edits.items() if k not in build.plan_overrides(recipe)}
    theirs = inherited.of(recipe, folder)
    speed = device_speed(recipe, found, known=old.speed, planned=bool(old.values), inherited=theirs)
    planned = build.build_plan(
        recipe,
        found,
        edits=edits,
        file=folder / "plan.yaml",
        speed=as_speed(speed),
        inherited=theirs,
    )
    return planned.plan, list(edits)


def _refused(error: InputError) -> Need:
    return Need("training step", error.expected or "", error.found or "none", False, error.remedy)


def _second(recipe: Recipe) -> Need:
    """Say what the other needs are of, where a cascade has a stage before."""
    text = "the second stage, on whole images"
    if build.trains_first(recipe):
        folds = f"{recipe.data.folds} folds" if recipe.cascade.out_of_fold else "one fold"
        text += f"; before it, {folds} of the first are trained, each for as long"
    return Need("cascade", text)


def _step(fitted: Fitted, plan: Plan) -> Need:
    patch = " x ".join(map(str, plan.patch_size))
    text = f"{_gib(fitted.measured.bytes)}: batch {plan.batch_size}, patch {patch}"
    if fitted.load.accumulate > 1:
        text += f", {fitted.load.accumulate} batches a step"
    if fitted.planned is not None:
        text += f" (the planned one would take {_gib(fitted.planned)})"
    return Need("training step", text, "" if fitted.room is None else _gib(fitted.room))


def _memory(
    device: str,
    fitted: Fitted,
    found: Fingerprint,
    plan: Plan,
    in_memory: int,
    guide: int,
    processes: int,
) -> list[Need]:
    free = memory_available()
    if free is None:
        return []
    step = fitted.measured.bytes * processes if device == "cpu" else 0
    largest = max(found.cases, key=lambda case: prod(case.shape))
    image = expected_bytes(found, plan.preprocessing, [largest.id])
    channels = len(plan.preprocessing.normalisation)
    # A validation holds an image, its logits and what they are summed up in.
    outputs = len(found.labels["values"]) + 1
    volume = round(image * (channels + guide + 2 * outputs) / channels) * processes
    total = step + in_memory + volume
    parts = [(step, "step"), (in_memory, "cases"), (volume, "validation")]
    text = f"{_gib(total)}: " + ", ".join(f"{name} {_gib(size)}" for size, name in parts if size)
    fits = total <= free
    if in_memory and total - in_memory <= free:
        remedy = "data.cache=disk, which reads patches from the cache"
    else:
        remedy = "a coarser plan.spacing, or a machine with more memory"
    there = f"{_gib(free)} beyond the {_gib(resident_memory())} held now"
    return [Need("memory", text, there, fits, None if fits else remedy)]


def _disk(
    recipe: Recipe,
    folder: Path,
    dataset: Dataset,
    plan: Plan,
    found: Fingerprint,
    cases: int,
    trust: Sequence[str],
) -> list[Need]:
    done = cached_cases(folder)
    cache = round(cases * max(0.0, 1 - done / max(1, len(found.cases))))
    run = run_folder_bytes(recipe, plan, dataset, found, trust=trust)
    free = free_bytes(folder)
    fits = cache + run <= free
    text = f"{_gib(cache + run)}: cache {_gib(cache)}, checkpoints and masks {_gib(run)}"
    remedy = "free some space, or choose another disk with run_dir=FOLDER"
    return [Need("disk", text, f"{_gib(free)} free", fits, None if fits else remedy)]


def _time(recipe: Recipe, guess: Forecast) -> list[Need]:
    trainer = recipe.trainer
    rows = [
        Need("time of a step", f"{guess.step:.3g} s, loading and augmentation apart"),
        Need("time to prepare", _duration(guess.preparation)),
        Need("time of a validation", _duration(guess.validation)),
    ]
    if trainer.budget is not None and trainer.steps is None and trainer.epochs is None:
        budget = float(trainer.budget)
        least = guess.validation / guess.largest_share
        enough = least <= budget and guess.steps >= 1
        least = max(least, guess.validation + guess.step)
        remedy = (
            f"trainer.budget={_short(least)} or more, fewer trainer.validation_cases, or "
            "data.fold=all"
        )
        rows.append(
            Need(
                "budget",
                f"{_duration(least)} at least, for one step and one validation",
                f"{_duration(budget)}: about {guess.steps:,} steps",
                enough,
                None if enough else remedy,
            )
        )
    else:
        rows.append(Need("training", f"{_duration(guess.training)} for {guess.steps:,} steps"))
    rows.append(Need("time from start to end", _duration(guess.whole)))
    return rows


def _gib(size: float) -> str:
    return f"{size / GIB:.2f} GiB" if size >= GIB / 100 else f"{size / 2**20:.1f} MiB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _short(seconds: float) -> str:
    return f"{int(seconds) + 1}s" if seconds < 90 else f"{int(seconds / 60) + 1}m"

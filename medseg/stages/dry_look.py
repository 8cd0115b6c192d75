"""What one training takes of a device: its plan, one step, one case; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medseg import build
from medseg.build.device import (
    device_count,
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
from medseg.data.feed.sampler import part_of
from medseg.data.prepare.space import expected_bytes
from medseg.errors import InputError
from medseg.planning.fingerprint import Fingerprint
from medseg.planning.plan import Plan
from medseg.recipe import Recipe
from medseg.stages import crops, inherited, plan_file
from medseg.stages.forecast import Forecast, cached_cases, forecast, run_folder_bytes
from medseg.stages.foreseen import Foreseen
from medseg.stages.memory import bytes_in_memory
from medseg.stages.speed import as_speed, device_speed


@dataclass(frozen=True)
class Look:
    """What was seen of one training, or of several folds of it.

    Attributes:
        recipe: of the training.
        plan: with patch and batch as the device takes them.
        found: what the data are, cut as the training will see them where that is known.
        in_memory: bytes of preprocessed cases that will live in this machine's memory.
        cache: bytes of the cache that are yet to be written.
        left: bytes of checkpoints and masks of one fold.
        trainings: folds to be trained.
        fitted: what the device takes; ``None`` where it takes nothing, as ``refused`` says.
        guess: times; ``None`` with ``fitted``.
        refused: why no step fits.
    """

    recipe: Recipe
    plan: Plan
    found: Fingerprint
    in_memory: int
    cache: int
    left: int
    trainings: int = 1
    fitted: Fitted | None = None
    guess: Forecast | None = None
    refused: InputError | None = None

    @property
    def disk(self) -> int:
        """Bytes of checkpoints and masks of all folds."""
        return self.trainings * self.left

    @property
    def seconds(self) -> float:
        """Seconds from start to end, the folds one after the other."""
        if self.guess is None:
            return 0.0
        prepared = self.guess.preparation
        return prepared + self.trainings * (self.guess.whole - prepared)


def look(
    recipe: Recipe,
    folder: Path,
    data: Foreseen,
    *,
    trainings: int = 1,
    trust: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> Look:
    """Plan, take one training step on made-up images, and prepare one case.

    Args:
        recipe: the recipe.
        folder: of its run.
        data: its data set.
        trainings: folds to be trained.
        trust: packages whose code may run.
        say: told what is being tried.

    Raises:
        InputError: the plan does not fit the data, the weights to start from do not fit the
            network, or the case cannot be read.
    """
    dataset, processes, device = data.dataset, device_count(recipe), training_device(recipe)
    plan, edits, found = _plan(recipe, folder, data)
    part_of(plan.batch_size, rank=0, world_size=processes)  # or say that it cannot be
    if recipe.transfer is not None and not inherited.has_begun(recipe, folder):
        build.check_transfer(recipe, plan, dataset, trust=trust)
    guidance = build.guidance_of(recipe, dataset.labels)
    cases = expected_bytes(found, plan.preprocessing, guided=bool(guidance and guidance.channels))
    in_memory = bytes_in_memory(recipe, cases, on_gpu=device.type == "cuda", processes=processes)
    missing = max(0.0, 1 - cached_cases(folder) / max(1, len(found.cases)))
    seen = Look(
        recipe,
        plan,
        found,
        in_memory,
        cache=round(cases * missing),
        left=run_folder_bytes(recipe, plan, dataset, found, trust=trust),
        trainings=trainings,
    )
    say("  one step on made-up images …")
    try:
        fitted = fit_to_device(
            recipe,
            per_process(plan, processes),
            dataset,
            device=device,
            room=_room(recipe, in_memory),
            precision=training_precision(recipe),
            fixed=fixed_by_user(recipe, edits),
            trust=trust,
        )
    except InputError as error:
        return replace(seen, refused=error)
    load = of_all(fitted.load, plan, processes)
    plan = fit_plan(plan, load)
    say("  one case, read and preprocessed …")
    guess = forecast(fit_recipe(recipe, load), folder, dataset, plan, found, fitted)
    return replace(seen, plan=plan, fitted=fitted, guess=guess)


def _plan(recipe: Recipe, folder: Path, data: Foreseen) -> tuple[Plan, list[str], Fingerprint]:
    """Plan as `medseg.stages.plan` will; say what was edited, and what is left of the images."""
    old = plan_file.read(folder / "plan.yaml")
    edits = {k: v for k, v in old.edits.items() if k not in build.plan_overrides(recipe)}
    theirs = inherited.of(recipe, folder)
    speed = device_speed(
        recipe, data.found, known=old.speed, planned=bool(old.values), inherited=theirs
    )
    guidance = build.guidance_of(recipe, data.dataset.labels)
    left = crops.known(folder, data.dataset) if guidance and guidance.crops else None
    planned = build.build_plan(
        recipe,
        data.found,
        edits=edits,
        file=folder / "plan.yaml",
        speed=as_speed(speed),
        inherited=theirs,
        shapes=left,
    )
    return planned.plan, list(edits), crops.cut(data.found, left)


def _room(recipe: Recipe, in_memory: int) -> int | None:
    """Say how many bytes a step of one process may take."""
    device = training_device(recipe)
    free = free_memory(device)
    if free is None:
        return None
    room = max(0, round(free * MARGIN))
    if device.type == "cpu":
        room = max(0, room - in_memory) // device_count(recipe)
    return room

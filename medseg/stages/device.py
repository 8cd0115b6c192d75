"""``device.yaml``: one dry step on the device at hand, and what of the plan it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from medseg import build
from medseg.build.device import (
    GIB,
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
from medseg.errors import InputError
from medseg.planning.fitting import Load
from medseg.planning.plan import Plan
from medseg.recipe import Recipe
from medseg.stages import device_file, plan_file
from medseg.stages.device_file import DeviceFile
from medseg.stages.job import Job
from medseg.stages.run_folder import digest


@dataclass(frozen=True)
class OnDevice:
    """A training as the device at hand takes it.

    Attributes:
        plan: with the patch and the batch that fit.
        recipe: with the accumulation that goes with them.
        device: its name, where it is known.
    """

    plan: Plan
    recipe: Recipe
    device: str | None = None


def known(job: Job, plan: Plan) -> OnDevice | None:
    """Return what ``device.yaml`` says, if it was measured for this plan and network."""
    found = device_file.read(job.folder / "device.yaml")
    if found is None or found.measured_for != _measured_for(job, plan):
        return None
    return _applied(job, plan, found)


def run(job: Job, plan: Plan, *, reserve: int = 0) -> OnDevice:
    """Return what the device takes; ``device.yaml`` is read, or measured and written.

    What a training of this run has begun with stays, on every device: else a resumed training, or
    the next fold, would silently be another one.

    Args:
        job: the recipe at work.
        plan: the plan, free of any device.
        reserve: bytes of memory that this machine's processes are about to fill with something
            else.

    Raises:
        InputError: the device does not exist, or what may not change does not fit it.
    """
    device = training_device(job.recipe)
    name = device_name(device)
    if job.crew is not None:
        name = f"{job.processes} x {name}"
    begun = job.device_is_settled or any(job.folder.path.glob("fold_*/checkpoints/last.ckpt"))
    kept = known(job, plan) if begun else None
    if kept is not None and kept.device == name:
        return kept
    free = free_memory(device)
    room = None if free is None else round(free * MARGIN)
    if room is not None and device.type == "cpu":
        room = max(0, room - reserve) // job.processes_here
    chosen = training_precision(job.recipe)
    job.report.say(f"  one step on made-up images, to see what {name} takes …")
    wanted = kept.plan if kept else plan
    try:
        fitted = fit_to_device(
            job.recipe,
            per_process(wanted, job.processes),
            job.dataset,
            device=device,
            room=room,
            precision=chosen,
            fixed=("patch_size", "batch_size", "accumulate") if kept else _fixed(job),
            trust=job.trust,
        )
    except InputError as error:
        if kept is None or "does not fit" not in str(error):
            raise
        error.message = (
            f"this run began on {kept.device}, and what it took there does not fit {name}"
        )
        error.remedy = "go on there, or start over with --overwrite, or use another run_dir"
        raise
    load = of_all(fitted.load, wanted, job.processes)
    if kept is not None:
        load = replace(load, accumulate=kept.recipe.trainer.accumulate // _accumulate(job))
    content = _content(job, plan, load, fitted, name, chosen, kept)
    device_file.write(job.folder / "device.yaml", content)
    job.report.stage("device", _sentence(plan, load, fitted, name))
    return _applied(job, plan, content)


def note(job: Job, reasons: Mapping[str, str] | None = None, **values: Any) -> None:
    """Add to ``device.yaml`` what was chosen later: ``workers``, ``compile``, ``channels_last``."""
    device_file.amend(job.folder / "device.yaml", values, reasons or {})


def _applied(job: Job, plan: Plan, content: DeviceFile) -> OnDevice:
    values = content.values
    load = Load(tuple(values["patch_size"]), values["batch_size"], values["accumulate"])
    recipe = fit_recipe(job.recipe, load, precision=values["precision"])
    return OnDevice(fit_plan(plan, load), recipe, values["device"])


def _accumulate(job: Job) -> int:
    return job.recipe.trainer.accumulate


def _measured_for(job: Job, plan: Plan) -> str:
    recipe = build.plain(job.recipe)
    trainer = recipe["trainer"]
    parts = [recipe[key] for key in ("network", "loss", "optimizer")]
    if job.recipe.transfer is not None:  # what is frozen takes less
        parts.append([job.recipe.transfer.regime, job.recipe.transfer.stages])
    return digest(plan.to_dict(), parts, trainer["accumulate"], trainer["precision"])


def _fixed(job: Job) -> list[str]:
    return fixed_by_user(job.recipe, plan_file.read(job.folder / "plan.yaml").edits)


def _content(
    job: Job,
    plan: Plan,
    load: Load,
    fitted: Fitted,
    name: str,
    chosen: str,
    kept: OnDevice | None,
) -> DeviceFile:
    why = f"the planned step would take {(fitted.planned or 0) / GIB:.2f} GiB"
    as_planned = "kept: the run began with it" if kept else "as planned"
    same_batch = kept or load.batch_size == plan.batch_size
    same_patch = kept or load.patch_size == tuple(plan.patch_size)
    measured = {
        "seconds_per_step": round(fitted.measured.seconds, 4),
        "forward_seconds": round(fitted.measured.forward_seconds, 4),
        "step_gib": round(fitted.measured.bytes / GIB, 3),
    }
    if fitted.room is not None:
        measured["free_gib"] = round(fitted.room / GIB, 3)
    return DeviceFile(
        values={
            "device": name,
            "batch_size": load.batch_size,
            "patch_size": list(load.patch_size),
            "accumulate": load.accumulate,
            "workers": job.recipe.data.workers,
            "precision": chosen,
            "compile": None,
            "channels_last": None,
        },
        measured=measured,
        reasons={
            "batch_size": as_planned if same_batch else f"planned: {plan.batch_size}; {why}",
            "patch_size": as_planned
            if same_patch
            else f"planned: {list(plan.patch_size)}; not even one patch of it fits; {why}",
            "accumulate": f"{load.batch_size * load.accumulate} patches a step, planned: "
            f"{plan.batch_size}"
            + (" (times the recipe's accumulate)" if _accumulate(job) > 1 else ""),
            "workers": "set in the recipe" if job.recipe.data.workers is not None else "",
            "seconds_per_step": "one batch, without loading and augmentation",
            "step_gib": "at its peak, beyond what the process held before",
            "free_gib": f"{MARGIN:.0%} of what was free",
        },
        measured_for=_measured_for(job, plan),
    )


def _sentence(plan: Plan, load: Load, fitted: Fitted, name: str) -> str:
    measured = fitted.measured
    text = (
        f"{name}: a step takes {measured.bytes / GIB:.2f} GiB and {measured.seconds:.2f} s "
        "(before the training's clock starts)"
    )
    if load.batch_size != plan.batch_size or load.patch_size != tuple(plan.patch_size):
        text += (
            f"; the planned one does not fit: batch {load.batch_size} instead of "
            f"{plan.batch_size}, {load.accumulate} batches a step, patch "
            f"{' x '.join(map(str, load.patch_size))}"
        )
    return text

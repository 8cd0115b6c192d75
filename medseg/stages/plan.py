"""``plan``: ``fingerprint.json`` + recipe + edits -> ``plan.yaml``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any

from medseg import build
from medseg.planning.plan import Plan
from medseg.planning.planner import GIVEN, Planned
from medseg.stages import crops, inherited, inspect, plan_boxes, plan_file, plan_masks
from medseg.stages.job import Job
from medseg.stages.plan_file import PlanFile
from medseg.stages.speed import as_speed, device_speed


def run(job: Job) -> Plan:
    """Write the plan; values that a person edited in it are kept."""
    # First: a first stage that is missing is known before the images are read.
    left = crops.to_plan_for(job)
    found = inspect.run(job)
    target = job.folder / "plan.yaml"
    old = plan_file.read(target)
    recipe = build.plan_overrides(job.recipe)
    theirs = inherited.of(job.recipe, job.folder.path, afresh=job.overwrite)
    speed = device_speed(
        job.recipe, found, known=old.speed, planned=bool(old.values), inherited=theirs
    )
    make = partial(
        build.build_plan,
        job.recipe,
        found,
        speed=as_speed(speed),
        inherited=theirs,
        shapes=left,
    )
    base = make()
    edits = {k: v for k, v in old.edits.items() if k not in recipe}
    final = base
    if edits:
        final = make(edits=edits, file=target)
    values, planned = final.plan.to_dict(), final.plan.to_dict()
    reasons = dict(final.reasons)
    for key in edits:
        planned[key] = base.plan.to_dict()[key]
        reasons[key] = reasons[key].replace(GIVEN, f"edited here; planned was {planned[key]}")
    for key in recipe:
        reasons[key] = reasons.get(key, GIVEN).replace(GIVEN, "set in the recipe")
    remarks = (
        build.other_network(job.recipe),
        build.painted_masks(job.recipe, job.dataset),
        build.too_large(job.recipe, final.plan, found),
    )
    other = [remark for remark in remarks if remark]
    notes = [
        f"Configuration {final.configuration}, preset {build.preset(job.recipe)}.",
        *([] if found.spatial_dims == 2 else [_lowres(final)]),
        *other,
        *([_cropped(job)] if left else []),
    ]
    if speed:
        notes.append(f"Sized for the budget on {speed['device']}.")
    if theirs and (job.overwrite or not inherited.has_begun(job.recipe, job.folder.path)):
        # Before hours of preprocessing; afterwards the weights may be gone.
        build.check_transfer(job.recipe, final.plan, job.dataset, trust=job.trust)
    inherited.keep(job.folder.path, theirs)
    plan_file.write(
        target,
        values,
        planned=planned,
        reasons=reasons,
        notes=notes,
        speed=speed,
        masks=plan_masks.lines(job.recipe, job.folder.path),
        boxes=plan_boxes.lines(job.folder.path),
    )
    job.report.stage("plan", _sentence(final.plan) + (_kept(edits) if edits else ""))
    for line in _replaced(old, values, recipe):
        job.report.say(f"  {line}")
    for remark in other:
        job.report.say(f"  {remark}")
    return final.plan


def _lowres(planned: Planned) -> str:
    low = planned.lowres
    if low is None:
        return "The data have no low-resolution stage: patches show enough of an image."
    spacing = " x ".join(f"{s:.3g}" for s in low.spacing)
    patch = " x ".join(map(str, low.network.patch_size))
    return (
        f"The data have a low-resolution stage (plan.configuration: 3d_lowres): spacing {spacing} "
        f"mm, patch {patch}, {low.covered:.0%} of the median image."
    )


def _cropped(job: Job) -> str:
    margin = job.recipe.cascade.margin
    return f"Planned for what is left of the images: what the first stage found, and {margin:g} mm."


def _sentence(plan: Plan) -> str:
    spacing = " x ".join(f"{s:.3g}" for s in plan.preprocessing.spacing)
    patch = " x ".join(map(str, plan.patch_size))
    return (
        f"spacing {spacing} mm, patch {patch}, batch {plan.batch_size}, {len(plan.features)} stages"
    )


def _replaced(old: PlanFile, new: Mapping[str, Any], recipe: Collection[str]) -> Iterator[str]:
    """Say which values of the file at hand are gone."""
    lost = [key for key, value in old.edits.items() if key in recipe and new[key] != value]
    other = [
        key for key, value in old.values.items() if key not in old.edits and new.get(key) != value
    ]
    if lost:
        yield f"the recipe sets {', '.join(lost)}: what was edited in plan.yaml is replaced"
    if other:
        yield f"planned anew, other than plan.yaml said: {', '.join(other)}"


def _kept(edits: dict) -> str:
    return f" (your edits of {', '.join(edits)} kept)"

"""``plan``: ``fingerprint.json`` + recipe + edits -> ``plan.yaml``."""

from __future__ import annotations

from medseg import build
from medseg.planning.fingerprint import Fingerprint
from medseg.planning.plan import Plan
from medseg.planning.planner import GIVEN
from medseg.stages import inspect, plan_file
from medseg.stages.job import Job


def run(job: Job) -> Plan:
    """Write the plan; values that a person edited in it are kept."""
    found = inspect.run(job)
    target = job.folder / "plan.yaml"
    old = plan_file.read(target)
    recipe = build.plan_overrides(job.recipe)
    base = build.build_plan(job.recipe, found)
    edits = {k: v for k, v in old.edits.items() if k not in recipe}
    final = base
    if edits:
        final = build.build_plan(job.recipe, found, edits=edits, file=target)
    values, planned = final.plan.to_dict(), final.plan.to_dict()
    reasons = dict(final.reasons)
    for key in edits:
        planned[key] = base.plan.to_dict()[key]
        reasons[key] = reasons[key].replace(GIVEN, f"edited here; planned was {planned[key]}")
    for key in recipe:
        reasons[key] = reasons.get(key, GIVEN).replace(GIVEN, "set in the recipe")
    plan_file.write(target, values, planned=planned, reasons=reasons)
    job.report.stage("plan", _sentence(final.plan, found) + (_kept(edits) if edits else ""))
    return final.plan


def _sentence(plan: Plan, found: Fingerprint) -> str:
    spacing = " x ".join(f"{s:.3g}" for s in plan.preprocessing.spacing)
    patch = " x ".join(map(str, plan.patch_size))
    return (
        f"spacing {spacing} mm, patch {patch}, batch {plan.batch_size}, {len(plan.features)} stages"
    )


def _kept(edits: dict) -> str:
    return f" (your edits of {', '.join(edits)} kept)"

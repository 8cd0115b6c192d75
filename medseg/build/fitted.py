"""How much of a planned step the device at hand takes, found by taking one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from math import lcm
from typing import TYPE_CHECKING, Any

from medseg.build.cascade import input_channels
from medseg.build.device import GIB, device_name
from medseg.build.needs import needs_of
from medseg.build.task import build_task
from medseg.data.case import Dataset
from medseg.errors import InputError
from medseg.planning.fitting import Load, loads
from medseg.planning.memory import plain_activations
from medseg.planning.plan import Plan
from medseg.planning.pooling import divisor
from medseg.recipe import Recipe

if TYPE_CHECKING:
    import torch
    from torch import nn

    from medseg.training.dry_step import Measured

# Room for what a step on made-up images does not show: fragments, batches waiting, a validation.
MARGIN = 0.9
# Bytes that a step holds per activation of the closed form, where a network tells nothing better.
_PER_ACTIVATION = 16
# A step on a CPU holds more than what is saved for the backward pass: gradients, scratch space.
_BEYOND_SAVED = 1.5


@dataclass(frozen=True)
class Fitted:
    """What a device takes.

    Attributes:
        load: patch, batch and accumulation that fit.
        measured: of a step with this load.
        planned: bytes that the planned step would need, where that is more; else ``None``.
        room: bytes that there were; ``None`` if nobody knows.
    """

    load: Load
    measured: Measured
    planned: int | None = None
    room: int | None = None


def fit_to_device(
    recipe: Recipe,
    plan: Plan,
    dataset: Dataset,
    *,
    device: torch.device,
    room: int | None,
    precision: str,
    fixed: Sequence[str] = (),
    trust: Sequence[str] = (),
) -> Fitted:
    """Take dry steps, smaller and smaller ones if need be, until one fits.

    Args:
        recipe: network, loss and optimiser.
        plan: what was planned without knowing the device.
        dataset: channels and labels.
        device: where to train.
        room: bytes that may be taken there.
        precision: as for Lightning.
        fixed: of ``patch_size``, ``batch_size`` and ``accumulate``, those that the user set.
        trust: packages whose code may run.

    Raises:
        InputError: nothing fits that the user left free; says what was measured and what would.
    """
    from medseg.training.dry_step import OutOfMemory

    search = _Search(recipe, plan, dataset, device, precision, tuple(trust))
    choices = search.choices(fixed)
    if device.type == "cpu":
        # Too large a step raises an error on a GPU; on a CPU it can end the process.
        search.ratio = _BEYOND_SAVED
    too_large: set[Load] = set()
    taken: dict[Load, Measured] = {}
    planned: int | None = None
    while True:
        load = next(
            (c for c in choices if c not in too_large and search.passes(c, room)),
            None,
        )
        if load is None:
            raise search.refusal(fixed, choices[0], planned, room)
        if load in taken:
            if load != choices[0]:
                planned = planned or search.expected(choices[0])
            return Fitted(load, taken[load], planned, room)
        try:
            taken[load] = found = search.measure(load)
        except OutOfMemory:
            too_large.add(load)
            search.ratio = max(search.ratio, 1.05 * (room or 0) / search.bytes(load))
            continue
        if room is None or found.bytes <= room:
            if load == choices[0]:
                return Fitted(load, found, None, room)
            search.ratio = found.bytes / search.bytes(load)
            continue
        if load == choices[0]:
            planned = found.bytes
        too_large.add(load)
        search.ratio = found.bytes / search.bytes(load)


def per_process(plan: Plan, processes: int) -> Plan:
    """Return the plan with the largest part of its batch that one of several processes takes."""
    return replace(plan, batch_size=-(-plan.batch_size // processes))


def of_all(load: Load, plan: Plan, processes: int) -> Load:
    """Return what all processes take at once, if each takes ``load`` of `per_process`."""
    if load.batch_size == per_process(plan, processes).batch_size:
        return replace(load, batch_size=plan.batch_size)
    batch = load.batch_size * processes
    accumulate = load.accumulate
    if accumulate > 1:
        accumulate = max(1, round(plan.batch_size / batch))
    return replace(load, batch_size=batch, accumulate=accumulate)


def fit_plan(plan: Plan, load: Load) -> Plan:
    """Return the plan with the patch and the batch of a load."""
    return replace(plan, patch_size=load.patch_size, batch_size=load.batch_size)


def fit_recipe(recipe: Recipe, load: Load, *, precision: str | None = None) -> Recipe:
    """Return the recipe with the accumulation of a load; an epoch keeps its optimiser's steps.

    ``precision`` replaces ``auto``: a resumed training must not choose anew.
    """
    trainer = recipe.trainer
    values: dict[str, Any] = {}
    if load.accumulate != 1:
        steps = trainer.steps_per_epoch
        values["accumulate"] = trainer.accumulate * load.accumulate
        values["steps_per_epoch"] = None if steps is None else steps * load.accumulate
    if precision is not None and trainer.precision == "auto":
        values["precision"] = precision
    if not values:
        return recipe
    return recipe.model_copy(update={"trainer": trainer.model_copy(update=values)})


def without_values(
    recipe: Recipe, plan: Plan, dataset: Dataset, *, trust: Sequence[str] = ()
) -> nn.Module:
    """Build the network without its values, if it can be; no random generator notices."""
    import torch

    from medseg.build.task import build_network
    from medseg.training import rng

    states = rng.capture()
    try:
        with torch.device("meta"):
            return build_network(recipe, plan, dataset, trust=trust)[0]
    except Exception:  # what networks of others compute while they are made is anybody's guess
        return build_network(recipe, plan, dataset, trust=trust)[0]
    finally:
        rng.restore(states)


@dataclass
class _Search:
    """What is known of the memory of steps of any size."""

    recipe: Recipe
    plan: Plan
    dataset: Dataset
    device: torch.device
    precision: str
    trust: tuple[str, ...]
    ratio: float = 0.0  # bytes taken per byte counted; 0: not known, everything passes

    def __post_init__(self) -> None:
        self._counted: dict[tuple[int, ...], int] = {}
        self._weights = 0
        self._channels = input_channels(self.recipe, self.plan, self.dataset.labels)

    def choices(self, fixed: Sequence[str]) -> list[Load]:
        """List the loads to try, the planned one first."""
        plan, wanted = self.plan, needs_of(self.recipe, self.plan)
        step = [lcm(a, b) for a, b in zip(divisor(plan.strides), wanted.divisor, strict=True)]
        return list(
            loads(
                plan.patch_size,
                plan.batch_size,
                step=step,
                problem=wanted.problem,
                keep_patch="patch_size" in fixed,
                keep_batch="batch_size" in fixed,
                keep_accumulate="accumulate" in fixed,
            )
        )

    def passes(self, load: Load, room: int | None) -> bool:
        """Say whether a load may fit, as far as is known."""
        return room is None or not self.ratio or self.expected(load) <= room

    def expected(self, load: Load) -> int:
        """Estimate the bytes of a load."""
        return round(self.bytes(load) * (self.ratio or 1.0))

    def bytes(self, load: Load) -> int:
        """Count what the forward pass of a load keeps, and the weights with their gradients."""
        from medseg.training.dry_step import saved_bytes

        if load.patch_size not in self._counted:
            plan = fit_plan(self.plan, load)
            network = without_values(self.recipe, plan, self.dataset, trust=self.trust)
            read = needs_of(self.recipe, plan).input_size(plan.patch_size)
            counted = saved_bytes(network, (1, self._channels, *read))
            if counted is None:
                counted = _PER_ACTIVATION * plain_activations(
                    read,
                    plan.strides,
                    plan.features,
                    num_classes=self.dataset.labels.num_outputs,
                )
            self._counted[load.patch_size] = counted
            self._weights = 4 * 4 * sum(p.numel() for p in network.parameters())
        return self._weights + load.batch_size * self._counted[load.patch_size]

    def measure(self, load: Load) -> Measured:
        """Take a dry step on a task of its own."""
        from medseg.inference.memory import is_out_of_memory
        from medseg.training import rng
        from medseg.training.dry_step import OutOfMemory, dry_step, synthetic_batch

        plan = fit_plan(self.plan, load)
        states = rng.capture()
        # Uncompiled: compiling takes longer than all dry steps, and not more memory.
        trainer = self.recipe.trainer.model_copy(update={"compile": False})
        recipe = self.recipe.model_copy(update={"trainer": trainer})
        try:
            task = build_task(recipe, plan, self.dataset, trust=self.trust)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(str(error)) from error
        finally:
            rng.restore(states)
        batch = synthetic_batch(
            plan.batch_size,
            self._channels,
            needs_of(self.recipe, plan).input_size(plan.patch_size),
            num_labels=len(self.dataset.labels.values),
            objects=self.recipe.task == "detection",
        )
        return dry_step(task, batch, device=self.device, precision=self.precision)

    def refusal(
        self, fixed: Sequence[str], wanted: Load, planned: int | None, room: int | None
    ) -> InputError:
        """Say that nothing fits, and what would."""
        kept = f"{', '.join(fixed)} as set" if fixed else "even the smallest patch"
        smaller = self.choices(())
        # Each takes less than the one before.
        first = bisect_left(smaller, True, key=lambda load: self.passes(load, room))
        would = smaller[first] if first < len(smaller) else None
        if would is None or not fixed:
            half = [max(4, n // 2) for n in self.plan.features]
            remedy = f"a smaller network (plan.features={half}), a larger device"
        else:
            remedy = f"this would fit: {_settings(would, self.plan)}"
        if self.device.type == "cpu":
            remedy += "; or close other programs"
        how = "measured" if planned else "estimated"
        return InputError(
            f"a training step does not fit the memory of this device, {kept}",
            file=self.recipe.at("plan"),
            expected=f"{(planned or self.expected(wanted)) / GIB:.2f} GiB ({how}) for "
            f"{wanted.batch_size} patches of {list(wanted.patch_size)}",
            found=f"{(room or 0) / GIB:.2f} GiB to spare on {device_name(self.device)}",
            remedy=remedy,
        )


def _settings(load: Load, plan: Plan) -> str:
    words = []
    if load.batch_size != plan.batch_size:
        words.append(f"plan.batch_size={load.batch_size} trainer.accumulate={load.accumulate}")
    if load.patch_size != tuple(plan.patch_size):
        words.append(f"plan.patch_size={list(load.patch_size)}")
    return " ".join(words)


def fixed_by_user(recipe: Recipe, edits: Collection[str] = ()) -> list[str]:
    """Name what of a load the user fixed, in the recipe or by ``edits`` of ``plan.yaml``."""
    given = {*recipe.plan.given(), *edits}
    fixed: list[str] = [key for key in ("patch_size", "batch_size") if key in given]
    return [*fixed, "accumulate"] if recipe.trainer.accumulate > 1 else fixed

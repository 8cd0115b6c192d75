"""The steps of postprocessing, and a list of them at work on masks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medseg.errors import InputError, did_you_mean
from medseg.inference.postprocess import masks
from medseg.inference.postprocess.targets import FOREGROUND, Target, find_target
from medseg.labels import LabelScheme

NAMES = ("largest_component", "remove_small", "fill_holes")


@dataclass(frozen=True)
class MaskStep:
    """One step, as recipes and ``postprocessing.yaml`` write it.

    Attributes:
        name: ``largest_component`` keeps that alone, ``remove_small`` drops components below
            ``min_size``, ``fill_holes`` fills what is enclosed; see `masks` for what touches what.
        of: a class or region; `FOREGROUND`: all of them together.
        min_size: of ``remove_small``, in mm³ (2D: mm²).

    Raises:
        InputError: there is no such step, or ``min_size`` is missing, negative or out of place.
    """

    name: str
    of: str = FOREGROUND
    min_size: float | None = None

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise InputError(
                "there is no such step of postprocessing",
                expected=", ".join(NAMES),
                found=str(self.name),
                remedy=did_you_mean(str(self.name), NAMES) or None,
            )
        sized = self.name == "remove_small"
        if sized != (self.min_size is not None):
            raise InputError(
                f"{self.name} {'needs' if sized else 'takes no'} min_size",
                expected="{name: remove_small, of: NAME, min_size: 50}, in mm³" if sized else None,
                found=None if sized else f"min_size {self.min_size}",
            )
        if self.min_size is not None and not 0 <= self.min_size < math.inf:
            raise InputError(
                "min_size must not be negative", expected="mm³", found=f"{self.min_size:g}"
            )

    @classmethod
    def from_dict(cls, state: Any) -> MaskStep:
        """Make a step of what a recipe or a file says.

        Raises:
            InputError: it is no step.
        """
        known = ("name", "of", "min_size")
        if not isinstance(state, Mapping) or "name" not in state:
            raise InputError(
                "this is no step of postprocessing",
                expected="{name: largest_component, of: NAME}",
                found=str(state),
            )
        unknown = [str(key) for key in state if key not in known]
        if unknown:
            raise InputError(
                "a step of postprocessing has no such key",
                expected=", ".join(known),
                found=", ".join(unknown),
            )
        size = state.get("min_size")
        if isinstance(size, bool) or not isinstance(size, int | float | None):
            raise InputError("min_size must be a number", expected="mm³", found=repr(size))
        of = state.get("of", FOREGROUND)
        return cls(str(state["name"]), str(of), None if size is None else float(size))

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` takes, without what does not apply."""
        sized = {} if self.min_size is None else {"min_size": self.min_size}
        return {"name": self.name, "of": self.of, **sized}

    def __str__(self) -> str:
        if self.name == "remove_small":
            return f"{self.of} without components below {self.min_size:g} mm³"
        if self.name == "fill_holes":
            return f"{self.of} with its holes filled"
        return f"largest component of {self.of}"

    def of_mask(self, mask: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
        """Return what the step makes of a bool mask ``(*S)``."""
        if self.name == "remove_small":
            return masks.remove_small(mask, min_size=self.min_size or 0.0, spacing=spacing)
        of = masks.fill_holes if self.name == "fill_holes" else masks.largest_component
        return of(mask)


class Postprocessor:
    """Steps that are taken one after the other on a mask of label indices.

    Args:
        steps: in their order.
        scheme: what the indices mean.

    Raises:
        InputError: a step is for a class or region that the scheme lacks, or fills holes of the
            whole foreground, which would not say with what.
    """

    def __init__(self, steps: Sequence[MaskStep], scheme: LabelScheme) -> None:
        self.steps = tuple(steps)
        self._targets = [find_target(step.of, scheme) for step in self.steps]
        for step, target in zip(self.steps, self._targets, strict=True):
            if step.name == "fill_holes" and not (target.joined != np.arange(256)).any():
                raise InputError(
                    f"holes of {step.of} cannot be filled: no class says with what",
                    expected=f"one of {', '.join(scheme.foreground)}",
                )

    def __call__(self, index: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
        """Postprocess uint8 label indices ``(*S)``; ``spacing`` in mm per axis.

        Returns:
            A new array, or ``index`` itself where nothing changes.
        """
        for step, target in zip(self.steps, self._targets, strict=True):
            index = apply(index, step, target, spacing)
        return index


def apply(
    index: np.ndarray, step: MaskStep, target: Target, spacing: Sequence[float]
) -> np.ndarray:
    """Take one step on label indices ``(*S)``; see `Postprocessor`."""
    inside = target.inside[index]
    # Components and holes lie within the box of the mask: most of a scan need not be looked at.
    box = masks.box_of(inside)
    if box is None:
        return index
    before = inside[box]
    after = step.of_mask(before, spacing)
    gone, come = before & ~after, after & ~before
    if not (gone.any() or come.any()):
        return index
    changed = index.copy()
    part = changed[box]
    part[gone] = target.left[part[gone]]
    part[come] = target.joined[part[come]]
    return changed

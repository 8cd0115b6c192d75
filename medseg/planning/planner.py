"""From a data set's fingerprint to the plan, each value with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Literal

from medseg.errors import InputError
from medseg.labels import LabelScheme
from medseg.networks.needs import NetworkNeeds
from medseg.planning import overrides as user
from medseg.planning import presets
from medseg.planning.axes import as_oriented
from medseg.planning.batching import Configuration, batch_dice
from medseg.planning.configurations import Chosen, Configurations
from medseg.planning.fingerprint import Fingerprint
from medseg.planning.intensity import normalisations
from medseg.planning.lowres import LowResolution
from medseg.planning.network import GIVEN
from medseg.planning.plan import Plan, PreprocessingPlan
from medseg.planning.preset import Name, Preset
from medseg.planning.spacing import check_given, target_spacing

__all__ = ["GIVEN", "Planned", "plan"]


@dataclass(frozen=True)
class Planned:
    """A plan, and why.

    Attributes:
        plan: the plan.
        reasons: one line for each of its keys (those of `Plan.to_dict`).
        configuration: which of the configurations it is.
        lowres: the low-resolution stage beside it; ``None`` if the data have none.
    """

    plan: Plan
    reasons: Mapping[str, str]
    configuration: Configuration = "3d_fullres"
    lowres: LowResolution | None = None


def plan(
    fingerprint: Fingerprint,
    *,
    modalities: Sequence[str] | None = None,
    needs: NetworkNeeds | None = None,
    overrides: Mapping[str, Any] | None = None,
    configuration: Literal["auto"] | Configuration = "auto",
    preset: Name | Preset = "standard",
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> Planned:
    """Plan preprocessing, patch and network for a data set.

    The rules are those of nnU-Net v2 (Isensee et al. 2021, doi 10.1038/s41592-020-01008-z; residual
    presets: arXiv 2404.09556); axes stay as they are (see `axes.coarsest_first`).

    Args:
        fingerprint: what the data are.
        modalities: per channel, see `intensity.normalisations`; ``None``: from the channels' names.
        needs: what the network wants of its input beyond the planned strides; ``None``: nothing.
        overrides: values that the user fixed, keys as in plan.yaml; what depends on them follows.
        configuration: ``3d_fullres``; ``3d_lowres``, which only large volumes have; ``2d``, of
            volumes slice by slice. ``auto``: 3d_fullres, and 2d for pictures.
        preset: ``standard`` fills a GPU of 8 GB with a plain U-Net, ``resenc_s``, ``_m``, ``_l``
            and ``_xl`` GPUs of 4, 8, 24 and 40 GB with a residual one; ``fast`` is for CPUs and
            short budgets.
        shapes: voxels per axis of each case that are left of it, by its id, where an earlier stage
            says where to look; ``None``: what its own crop leaves.

    Raises:
        InputError: the fingerprint has no case, the data have no such configuration, or an override
            does not fit the others, the data or the network; the message says what would.
    """
    if not fingerprint.cases:
        raise InputError("there is no labelled case to plan for")
    overrides = overrides or {}
    user.check_keys(overrides)
    prepared = _preprocessing(fingerprint, overrides, modalities, shapes)
    chosen = Configurations(
        spacings=prepared.spacings,
        shapes=prepared.shapes,
        num_classes=LabelScheme.from_dict(fingerprint.labels).num_outputs,
        needs=needs,
        preset=preset,
    ).choose(
        configuration,
        prepared.target,
        given_spacing=prepared.given.get("spacing"),
        given=overrides,
    )
    reasons = dict(prepared.reasons)
    if chosen.why_spacing:
        reasons["spacing"] = chosen.why_spacing
    dice, reasons["batch_dice"] = _batch_dice(chosen, preset, overrides.get("batch_dice"))
    volumes = fingerprint.spatial_dims == 3
    neighbours = user.neighbours(overrides, slices=volumes and chosen.name == "2d")
    if neighbours:
        reasons["neighbours"] = GIVEN
    network = chosen.network
    return Planned(
        Plan(
            preprocessing=replace(prepared.plan, spacing=chosen.spacing),
            patch_size=network.patch_size,
            batch_size=network.batch_size,
            strides=network.strides,
            kernels=network.kernels,
            features=network.features,
            batch_dice=dice,
            neighbours=neighbours,
        ),
        {**reasons, **network.reasons},
        chosen.name,
        chosen.lowres,
    )


def _batch_dice(chosen: Chosen, preset: Name | Preset, given: bool | None) -> tuple[bool, str]:
    if given is not None:
        return given, GIVEN
    fixed = presets.find(preset)
    if fixed.batch_dice is not None:
        return fixed.batch_dice, f"{fixed.name} preset"
    return batch_dice(chosen.name, has_lowres=chosen.lowres is not None)


@dataclass(frozen=True)
class _Prepared:
    """The cases on the planned axes, and how they are brought there."""

    plan: PreprocessingPlan
    target: tuple[float, ...]
    spacings: Sequence[Sequence[float]]
    shapes: Sequence[Sequence[int]]
    given: Mapping[str, Any]
    reasons: Mapping[str, str]


def _preprocessing(
    fingerprint: Fingerprint,
    overrides: Mapping[str, Any],
    modalities: Sequence[str] | None,
    left: Mapping[str, Sequence[int]] | None,
) -> _Prepared:
    cases, dims = fingerprint.cases, fingerprint.spatial_dims
    given = user.preprocessing(overrides, spatial_dims=dims, channels=len(fingerprint.channels))
    reasons = {
        "orientation": "canonical axes" if dims == 3 else "pictures have none",
        "crop": "volumes have empty margins" if dims == 3 else "pictures stay whole",
    }
    orientation = given.get("orientation", "RAS" if dims == 3 else None)
    crop = given.get("crop", "nonzero" if dims == 3 else "none")
    shapes = [case.cropped_shape if crop == "nonzero" else case.shape for case in cases]
    if left is not None:
        shapes = [tuple(left[case.id]) for case in cases]
    spacings = [case.spacing for case in cases]
    if orientation is not None:
        shapes = [as_oriented(shape, orientation) for shape in shapes]
        spacings = [as_oriented(spacing, orientation) for spacing in spacings]
    target, reasons["spacing"] = target_spacing(spacings, shapes)
    if "spacing" in given:
        check_given(spacings, shapes, given["spacing"])
    schemes, reasons["normalisation"] = normalisations(
        _modalities(fingerprint, modalities),
        fingerprint.foreground,
        crop_ratio=median(case.crop_ratio for case in cases) if crop == "nonzero" else 1.0,
        given=given.get("normalisation"),
    )
    reasons |= dict.fromkeys(given.keys() & reasons.keys(), GIVEN)
    plan = PreprocessingPlan(orientation, crop, given.get("spacing", target), schemes)
    return _Prepared(plan, target, spacings, shapes, given, reasons)


def _modalities(fingerprint: Fingerprint, given: Sequence[str] | None) -> Sequence[str]:
    found = fingerprint.modalities if given is None else given
    if len(found) != len(fingerprint.channels):
        raise InputError(
            "one modality per channel",
            expected=f"{len(fingerprint.channels)} of them: {', '.join(fingerprint.channels)}",
            found=str(list(found)),
        )
    return found

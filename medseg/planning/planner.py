"""From a data set's fingerprint to the plan, each value with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from medseg.errors import InputError
from medseg.labels import LabelScheme
from medseg.planning import overrides as user
from medseg.planning.fingerprint import Fingerprint
from medseg.planning.intensity import normalisations
from medseg.planning.network import Preset, network_plan
from medseg.planning.patch import Needs
from medseg.planning.plan import Plan, PreprocessingPlan
from medseg.planning.spacing import median_shape, target_spacing

GIVEN = "given by the user"


@dataclass(frozen=True)
class Planned:
    """A plan, and one line of reason for each of its keys (those of `Plan.to_dict`)."""

    plan: Plan
    reasons: Mapping[str, str]


def plan(
    fingerprint: Fingerprint,
    *,
    modalities: Sequence[str] | None = None,
    needs: Needs | None = None,
    overrides: Mapping[str, Any] | None = None,
    preset: Preset = "standard",
    memory_gb: float = 8.0,
) -> Planned:
    """Plan preprocessing, patch and network for a data set.

    The rules are those of nnU-Net v2 (Isensee et al. 2021, doi 10.1038/s41592-020-01008-z) for full
    resolution, in 2D or 3D as the images are; axes are never transposed.

    Args:
        fingerprint: what the data are.
        modalities: per channel ``ct`` or anything else; ``None``: from the channels' names.
        needs: what the network wants of its input beyond the planned strides; ``None``: nothing.
        overrides: values that the user fixed, keys as in plan.yaml; what depends on them follows.
        preset: ``standard`` fills ``memory_gb`` of GPU memory; ``fast`` is for CPUs and short
            budgets: features 16 … 128, batch 2, at most 64³ voxels a patch.
        memory_gb: GPU memory to plan for.

    Raises:
        InputError: the fingerprint has no case, or an override does not fit the others, the data
            or the network; the message says what would.
    """
    if not fingerprint.cases:
        raise InputError("there is no labelled case to plan for")
    channels, dims = len(fingerprint.channels), fingerprint.spatial_dims
    given = user.read(overrides or {}, spatial_dims=dims, channels=channels)
    cases = fingerprint.cases
    reasons = {
        "orientation": "canonical axes" if dims == 3 else "pictures have none",
        "crop": "volumes have empty margins" if dims == 3 else "pictures stay whole",
    }
    crop = given.get("crop", "nonzero" if dims == 3 else "none")
    shapes = [case.cropped_shape if crop == "nonzero" else case.shape for case in cases]
    spacings = [case.spacing for case in cases]
    spacing, reasons["spacing"] = target_spacing(spacings, shapes)
    spacing = given.get("spacing", spacing)
    schemes, reasons["normalisation"] = normalisations(
        _modalities(fingerprint, modalities),
        fingerprint.foreground,
        crop_ratio=median(case.crop_ratio for case in cases) if crop == "nonzero" else 1.0,
        given=given.get("normalisation"),
    )
    reasons |= dict.fromkeys(given.keys() & reasons.keys(), GIVEN)
    network = network_plan(
        spacing,
        median_shape(spacings, shapes, spacing),
        num_cases=len(cases),
        num_classes=LabelScheme.from_dict(fingerprint.labels).num_outputs,
        needs=needs,
        given=given,
        preset=preset,
        memory_gb=memory_gb,
    )
    return Planned(
        Plan(
            preprocessing=PreprocessingPlan(
                orientation=given.get("orientation", "RAS" if dims == 3 else None),
                crop=crop,
                spacing=spacing,
                normalisation=schemes,
            ),
            patch_size=network.patch_size,
            batch_size=network.batch_size,
            strides=network.strides,
            kernels=network.kernels,
            features=network.features,
        ),
        {**reasons, **network.reasons},
    )


def _modalities(fingerprint: Fingerprint, given: Sequence[str] | None) -> Sequence[str]:
    found = fingerprint.modalities if given is None else given
    if len(found) != len(fingerprint.channels):
        raise InputError(
            "one modality per channel",
            expected=f"{len(fingerprint.channels)} of them: {', '.join(fingerprint.channels)}",
            found=str(list(found)),
        )
    return found

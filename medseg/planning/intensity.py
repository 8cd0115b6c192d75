"""How each channel is normalised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from medseg.errors import InputError
from medseg.planning.fingerprint import Intensity
from medseg.planning.plan import Normalisation

Scheme = Literal["ct", "zscore", "minmax", "none"]

# What a channel's modality may ask for by name. The colours of a picture reach from 0 to 255.
_ASKED = {
    "none": Normalisation(scheme="none"),
    "minmax": Normalisation(scheme="minmax"),
    "rgb": Normalisation(scheme="ct", lower=0.0, upper=255.0, mean=0.0, std=255.0),
}

# Below this median share of non-zero voxels the zeros are a mask (a skull-stripped brain), and
# z-score leaves them out.
MASKED_BELOW = 0.75


def normalisations(
    modalities: Sequence[str],
    foreground: Sequence[Intensity | None],
    *,
    crop_ratio: float,
    given: Sequence[Normalisation | Scheme] | None = None,
) -> tuple[tuple[Normalisation, ...], str]:
    """Return one normalisation per channel, and why.

    Args:
        modalities: per channel (any case) ``ct``; ``none``, ``minmax`` or ``rgb``, which ask for a
            scheme; anything else is z-scored.
        foreground: per channel, statistics over the labelled voxels of the data set.
        crop_ratio: median volume of the non-zero box as a fraction of the image; 1 where images are
            not cropped.
        given: what the user fixed per channel: a scheme to fill in, or all of it.

    Raises:
        InputError: ``ct`` is asked for where no voxel is labelled.
    """
    masked = crop_ratio < MASKED_BELOW
    schemes, reasons = [], []
    for channel, (modality, stats) in enumerate(zip(modalities, foreground, strict=True)):
        is_ct, asked = modality.lower() == "ct", _ASKED.get(modality.lower())
        if given is not None:
            schemes.append(_completed(given[channel], stats, masked))
        elif asked is not None:
            schemes.append(asked)
            reasons.append(f"channel {channel} asks for {modality.lower()}")
        elif is_ct and stats is not None:
            schemes.append(_ct(stats))
            reasons.append(f"channel {channel} is CT: the foreground's 0.5 and 99.5 percentiles")
        else:
            schemes.append(Normalisation(scheme="zscore", masked=masked))
            what = "CT without a labelled voxel" if is_ct else "not CT"
            over = f"non-zero voxels (the crop keeps {crop_ratio:.0%})" if masked else "the image"
            reasons.append(f"channel {channel} is {what}: z-score over {over}")
    return tuple(schemes), "; ".join(reasons)


def _completed(
    given: Normalisation | Scheme, stats: Intensity | None, masked: bool
) -> Normalisation:
    if isinstance(given, Normalisation):
        return given
    if given == "ct":
        if stats is None:
            raise InputError(
                "plan.normalisation: ct needs labelled voxels for its percentiles",
                remedy="give lower, upper, mean and std, or take zscore",
            )
        return _ct(stats)
    return Normalisation(scheme=given, masked=masked and given == "zscore")


def _ct(stats: Intensity) -> Normalisation:
    return Normalisation(
        scheme="ct",
        lower=stats.p00_5,
        upper=stats.p99_5,
        mean=stats.mean,
        std=max(stats.std, 1e-8),
    )

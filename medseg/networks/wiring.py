"""Which constructor arguments of a network follow from the plan; no torch, numbers only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from medseg.errors import InputError

Arguments = dict[str, Any]
STRUCTURE = ("features", "strides", "kernels")


@dataclass(frozen=True)
class PlanNumbers:
    """What the data decide about a network; see `medseg.planning.plan.Plan`.

    Attributes:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        num_classes: channels of the logits.
        patch_size: voxels per axis.
        strides: per stage, per axis; the first stage is all ones.
        kernels: per stage, per axis.
        features: channels per stage.
        levels: of a detector: stages whose resolutions have anchors.
        num_anchors: of a detector: at each place.
    """

    spatial_dims: int
    in_channels: int
    num_classes: int
    patch_size: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]
    features: tuple[int, ...]
    levels: tuple[int, ...] = ()
    num_anchors: int = 0

    @property
    def largest_kernel(self) -> tuple[int, ...]:
        """The largest kernel of all stages, per axis."""
        return tuple(max(axis) for axis in zip(*self.kernels, strict=True))

    def cut(self, chosen: Mapping[str, Any], *, uses: Iterable[str] = STRUCTURE) -> PlanNumbers:
        """Keep as many stages as the user's own ``features``, ``strides`` or ``kernels`` have.

        Args:
            chosen: the user's arguments, under the names of this class.
            uses: which of the three the network takes per stage.

        Raises:
            InputError: the user wants more stages than were planned, and does not say all of them.
        """
        given = {key: tuple(chosen[key]) for key in uses if chosen.get(key) is not None}
        missing = [key for key in uses if key not in given]
        stages = len(next(iter(given.values()), self.features))
        if missing and stages > len(self.strides):
            raise InputError(
                f"the network's {' and '.join(given)} speak of more stages than the plan has",
                expected=f"at most {len(self.strides)} stages (planned strides {self.strides})",
                found=f"{stages}: {next(iter(given.values()))}",
                remedy=f"give fewer, or say the {' and '.join(missing)} of every stage as well",
            )
        planned = {key: getattr(self, key)[:stages] for key in STRUCTURE}
        return replace(self, **{**planned, **given})


def ours(numbers: PlanNumbers, chosen: Mapping[str, Any]) -> Arguments:
    """Wire our U-Nets, which all take the plan's stages as they are."""
    numbers = numbers.cut(chosen)
    return {
        "spatial_dims": numbers.spatial_dims,
        "in_channels": numbers.in_channels,
        "num_classes": numbers.num_classes,
        "features": numbers.features,
        "strides": numbers.strides,
        "kernels": numbers.kernels,
    }


def anchored(numbers: PlanNumbers, chosen: Mapping[str, Any]) -> Arguments:
    """Wire a network with anchors, as many at as many levels as the plan's boxes want."""
    found = {"levels": numbers.levels or None, "num_anchors": numbers.num_anchors}
    return {**ours(numbers, chosen), **found}


def centred(numbers: PlanNumbers, chosen: Mapping[str, Any]) -> Arguments:
    """Wire a network without anchors: its one map has the resolution of the finest level."""
    return {**ours(numbers, chosen), "level": numbers.levels[0] if numbers.levels else None}


def deepmedic(numbers: PlanNumbers, chosen: Mapping[str, Any]) -> Arguments:
    """Wire DeepMedic: it averages along the axes that the plan halves first, and not coarse ones.

    It has one kernel for all layers: the largest that the plan has on each axis.
    """
    first = numbers.strides[1] if len(numbers.strides) > 1 else (2,) * numbers.spatial_dims
    return {
        **as_published(numbers, chosen),
        "kernel": numbers.largest_kernel,
        "factor": tuple(3 if stride > 1 else 1 for stride in first),
    }


def as_published(numbers: PlanNumbers, chosen: Mapping[str, Any]) -> Arguments:
    """Wire those of ours whose stages are their authors' and not the plan's."""
    return {
        "spatial_dims": numbers.spatial_dims,
        "in_channels": numbers.in_channels,
        "num_classes": numbers.num_classes,
    }


def unetr(numbers: PlanNumbers, chosen: Mapping[str, Any]) -> Arguments:
    """Wire `UNETR`, whose learnt positions are those of one size of input: the patch."""
    return {**as_published(numbers, chosen), "img_size": numbers.patch_size}


def monai_common(numbers: PlanNumbers, chosen: Mapping[str, Any]) -> Arguments:
    """Wire the three arguments that nearly every network of MONAI has."""
    return {
        "spatial_dims": numbers.spatial_dims,
        "in_channels": numbers.in_channels,
        "out_channels": numbers.num_classes,
    }


def monai_unet(numbers: PlanNumbers, chosen: Mapping[str, Any]) -> Arguments:
    """Wire UNet and AttentionUnet, whose strides stand between the stages.

    They have one kernel for all stages: the largest that the plan has on each axis.
    """
    dims, kernel = numbers.spatial_dims, numbers.largest_kernel
    own = {"features": chosen.get("channels")}
    if chosen.get("strides") is not None:
        own["strides"] = ((1,) * dims, *chosen["strides"])
    numbers = numbers.cut(own, uses=("features", "strides"))
    return {
        **monai_common(numbers, chosen),
        "channels": numbers.features,
        "strides": numbers.strides[1:],
        "kernel_size": kernel,
        "up_kernel_size": kernel,
    }


def monai_dynunet(numbers: PlanNumbers, chosen: Mapping[str, Any]) -> Arguments:
    """Wire DynUNet: transposed convolutions have the kernel of their stride, as in nnU-Net."""
    names = {"features": "filters", "strides": "strides", "kernels": "kernel_size"}
    numbers = numbers.cut({own: chosen.get(key) for own, key in names.items()})
    if len(numbers.strides) < 3:
        raise InputError(
            "monai.DynUNet needs three stages or more",
            expected="three entries in strides, kernels and features",
            found=f"{len(numbers.strides)}: strides {numbers.strides}",
            remedy="take network: unet, or set plan.strides, plan.kernels and plan.features",
        )
    return {
        **monai_common(numbers, chosen),
        "filters": numbers.features,
        "strides": numbers.strides,
        "kernel_size": numbers.kernels,
        "upsample_kernel_size": numbers.strides[1:],
    }


def monai_swin(numbers: PlanNumbers, chosen: Mapping[str, Any]) -> Arguments:
    """Wire SwinUNETR."""
    size = chosen.get("feature_size", 12)
    if not isinstance(size, int) or size < 12 or size % 12:
        nearest = max(12, round(size / 12) * 12) if isinstance(size, int) else 24
        raise InputError(
            "feature_size of monai.SwinUNETR must be divisible by 12",
            expected="12, 24, 36, 48 …",
            found=repr(size),
            remedy=f"for instance feature_size: {nearest}",
        )
    return monai_common(numbers, chosen)


def monai_unetr(numbers: PlanNumbers, chosen: Mapping[str, Any]) -> Arguments:
    """Wire UNETR, whose position embedding is made for one size of input: the patch."""
    return {**monai_common(numbers, chosen), "img_size": numbers.patch_size}


def monai_vnet(numbers: PlanNumbers, chosen: Mapping[str, Any]) -> Arguments:
    """Wire VNet; its first stage repeats the input up to 16 channels."""
    if 16 % numbers.in_channels:
        raise InputError(
            "monai.VNet cannot take this number of input channels",
            expected="1, 2, 4, 8 or 16",
            found=str(numbers.in_channels),
            remedy="choose another network, or use 1, 2, 4, 8 or 16 of the channels",
        )
    return {**monai_common(numbers, chosen), "dropout_dim": numbers.spatial_dims}


def monai_quicknat(numbers: PlanNumbers, chosen: Mapping[str, Any]) -> Arguments:
    """Wire Quicknat, a 2D network."""
    if numbers.spatial_dims != 2:
        raise InputError(
            "monai.Quicknat is a 2D network",
            expected="plan.spatial_dims: 2",
            found=str(numbers.spatial_dims),
            remedy="choose another network, or plan in 2D",
        )
    return {"num_channels": numbers.in_channels, "num_classes": numbers.num_classes}


# Of our networks, those that `ours` does not fit.
OURS: dict[str, Callable[[PlanNumbers, Mapping[str, Any]], Arguments]] = {
    "centre_net": centred,
    "deepmedic": deepmedic,
    "retina_net": anchored,
    "retina_unet": anchored,
    "highres_net": as_published,
    "mednext": as_published,
    "segresnet": as_published,
    "swin_unetr": as_published,
    "unetr": unetr,
}

MONAI: dict[str, Callable[[PlanNumbers, Mapping[str, Any]], Arguments]] = {
    "AttentionUnet": monai_unet,
    "DynUNet": monai_dynunet,
    "Quicknat": monai_quicknat,
    "SwinUNETR": monai_swin,
    "UNETR": monai_unetr,
    "UNet": monai_unet,
    "VNet": monai_vnet,
}

# Of MONAI's networks only these are built as the plan says; see `by_signature`.
_PLANNED = {"attentionunet", "dynunet", "unet"}


def ignored(name: str) -> tuple[str, ...]:
    """Return which of ``features``, ``strides`` and ``kernels`` a network takes no notice of.

    Args:
        name: as in a recipe. Of a class of the user's own nothing is known before it is imported.
    """
    if name == "deepmedic":
        return ("features",)
    if OURS.get(name) in (as_published, unetr):
        return STRUCTURE
    if not name.startswith("monai.") or name.removeprefix("monai.").lower() in _PLANNED:
        return ()
    return STRUCTURE


_SYNONYMS = {
    "spatial_dims": ("spatial_dims", "dimensions", "ndim"),
    "in_channels": ("in_channels", "in_chans", "input_channels", "n_channels", "num_channels"),
    "num_classes": ("num_classes", "out_channels", "n_classes", "out_chans", "output_channels"),
    "patch_size": ("img_size", "image_size", "input_size", "input_shape"),
}

DECIDED_BY_DATA = frozenset(synonym for names in _SYNONYMS.values() for synonym in names)
"""Names of arguments that only the data may set."""


def by_signature(
    numbers: PlanNumbers, chosen: Mapping[str, Any], parameters: Mapping[str, bool]
) -> Arguments:
    """Wire any network by the names of its parameters.

    Args:
        numbers: the plan's.
        chosen: the user's arguments.
        parameters: name -> whether the constructor requires it. ``patch_size``, ``features``,
            ``strides`` and ``kernels`` are given only where it does: a default is the author's own
            choice, and a ``patch_size`` with a default means a transformer's tokens.
    """
    wired: Arguments = {}
    for own, synonyms in _SYNONYMS.items():
        key = next((synonym for synonym in synonyms if synonym in parameters), None)
        if key is not None:
            wired[key] = getattr(numbers, own)
    structure = [key for key in STRUCTURE if parameters.get(key)]
    numbers = numbers.cut(chosen, uses=structure)
    required = [key for key in ("patch_size", *structure) if parameters.get(key)]
    return {**wired, **{key: getattr(numbers, key) for key in required}}

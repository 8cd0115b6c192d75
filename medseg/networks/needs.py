"""Which patch sizes a network takes: numbers from its name and arguments, without torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

from medseg.errors import InputError

Rule = Callable[[Mapping[str, Any], int], "NetworkNeeds"]


@dataclass(frozen=True)
class NetworkNeeds:
    """What a network wants of a patch, and by how much its input is larger, in voxels per axis.

    A patch is what the network gives logits for.

    Attributes:
        divisor: every axis must be a multiple of this.
        minimum: no axis may be smaller.
        stride: by how much the coarsest stage is reduced, where it is normalised per case or batch:
            there a lone voxel would be its own mean, so two must be left. ``None``: no such rule.
        context: voxels per side by which the input exceeds the logits; zeros, also where it is left
            out, for networks whose logits are as large as their input.
    """

    divisor: tuple[int, ...]
    minimum: tuple[int, ...]
    stride: tuple[int, ...] | None = None
    context: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "context", self.context or (0,) * len(self.divisor))

    def input_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Return the size of the input that gives logits of ``size``."""
        return tuple(n + 2 * around for n, around in zip(size, self.context, strict=True))

    def problem(self, size: Sequence[int]) -> str | None:
        """Say in words why ``size`` does not fit, or ``None`` if it does."""
        if len(size) != len(self.divisor):
            return f"{len(self.divisor)} axes are wanted, {tuple(size)} has {len(size)}"
        if any(n % d for n, d in zip(size, self.divisor, strict=True)):
            return f"every axis must be a multiple of {self.divisor}"
        if any(n < least for n, least in zip(size, self.minimum, strict=True)):
            return f"no axis may be smaller than {self.minimum}"
        if self.stride and prod(n // s for n, s in zip(size, self.stride, strict=True)) < 2:
            return f"two voxels must be left at the coarsest stage, whose stride is {self.stride}"
        return None

    def within(self, flat: int) -> NetworkNeeds | None:
        """Return what is wanted of the other axes, or ``None`` if axis ``flat`` cannot be 1."""
        if self.divisor[flat] != 1 or self.minimum[flat] != 1:
            return None
        rest = [axis for axis in range(len(self.divisor)) if axis != flat]
        return NetworkNeeds(
            tuple(self.divisor[axis] for axis in rest),
            tuple(self.minimum[axis] for axis in rest),
            tuple(self.stride[axis] for axis in rest) if self.stride else None,
            tuple(self.context[axis] for axis in rest),
        )

    def enlarged(self, size: Sequence[int]) -> tuple[int, ...]:
        """Return the smallest size that fits and holds ``size``."""
        rounded = [
            ceil(max(n, least) / d) * d
            for n, d, least in zip(size, self.divisor, self.minimum, strict=True)
        ]
        if self.stride and self.problem(rounded):
            axis = max(range(len(rounded)), key=rounded.__getitem__)
            rounded[axis] = ceil(2 * self.stride[axis] / self.divisor[axis]) * self.divisor[axis]
        return tuple(rounded)


def needs(
    name: str, arguments: Mapping[str, Any], *, spatial_dims: int | None = None
) -> NetworkNeeds:
    """Tell what the network ``name`` built with ``arguments`` wants of its input.

    Args:
        name: as in a recipe: ``unet``, ``monai.SwinUNETR``, ``pkg.mod:Class``.
        arguments: as `registry.plan_arguments` gives them; or, before there is a plan, the user's
            own: then strides that the planner will choose do not count.
        spatial_dims: 2 or 3; ``None``: from ``arguments``, else 3.
    """
    dims = int(spatial_dims or arguments.get("spatial_dims", 3))
    rule = _RULES.get(name.lower(), _by_strides)
    return rule(arguments, dims)


def per_axis(name: str, value: Sequence[int] | int, spatial_dims: int) -> tuple[int, ...]:
    """Read one number for all axes, or one for each.

    Raises:
        InputError: another number of axes, or a number below 1.
    """
    full = (value,) * spatial_dims if isinstance(value, int) else tuple(value)
    if len(full) != spatial_dims or min(full) < 1:
        raise InputError(
            f"{name} must be one positive number, or one per axis",
            expected=f"{spatial_dims} numbers",
            found=str(full),
        )
    return full


def nearest_sizes(size: Sequence[int], divisor: Sequence[int]) -> str:
    """Name the next smaller and larger multiples of ``divisor``, for an error message."""
    down = tuple(n // d * d for n, d in zip(size, divisor, strict=True))
    up = tuple(ceil(n / d) * d for n, d in zip(size, divisor, strict=True))
    return f"{down} or {up}" if all(down) else str(up)


def _total(strides: Sequence[Sequence[int] | int], dims: int) -> tuple[int, ...]:
    full = [(s,) * dims if isinstance(s, int) else tuple(s) for s in strides]
    return tuple(prod(stage[axis] for stage in full) for axis in range(dims))


def _by_strides(arguments: Mapping[str, Any], dims: int) -> NetworkNeeds:
    strides = arguments.get("strides")
    if strides is None:
        return NetworkNeeds((1,) * dims, (1,) * dims)
    total = _total(strides, dims)
    return NetworkNeeds(total, total, total)


def _unet_of_monai(arguments: Mapping[str, Any], dims: int) -> NetworkNeeds:
    # Strides stand between the stages; surplus ones are ignored.
    strides, channels = arguments.get("strides"), arguments.get("channels")
    if strides is not None and channels is not None:
        strides = strides[: len(channels) - 1]
    return _by_strides({"strides": strides}, dims)


def _powers(argument: str, default: int, *, offset: int = 0) -> Rule:
    """Rule of networks that halve once per entry of ``argument`` (less ``offset``)."""

    def rule(arguments: Mapping[str, Any], dims: int) -> NetworkNeeds:
        entries = arguments.get(argument, default)
        halvings = (entries if isinstance(entries, int) else len(entries)) - offset
        total = (2**halvings,) * dims
        return NetworkNeeds(total, total, total)

    return rule


def _fixed(divisor: int, *, minimum: int | None = None, stride: int | None = None) -> Rule:
    def rule(arguments: Mapping[str, Any], dims: int) -> NetworkNeeds:
        return NetworkNeeds(
            (divisor,) * dims,
            (minimum or divisor,) * dims,
            (stride,) * dims if stride else None,
        )

    return rule


def _swin(arguments: Mapping[str, Any], dims: int) -> NetworkNeeds:
    total = (int(arguments.get("patch_size", 2)) ** 5,) * dims
    return NetworkNeeds(total, total, total)


def _deepmedic(arguments: Mapping[str, Any], dims: int) -> NetworkNeeds:
    # Each of the layers takes half its kernel off both sides, of an input averaged by the factor.
    layers = len(arguments.get("features") or range(8))
    kernel = per_axis("kernel", arguments.get("kernel") or 3, dims)
    factor = per_axis("factor", arguments.get("factor") or 3, dims)
    context = tuple(layers * (k // 2) * f for k, f in zip(kernel, factor, strict=True))
    return NetworkNeeds((1,) * dims, (1,) * dims, context=context)


def _segresnet(arguments: Mapping[str, Any], dims: int) -> NetworkNeeds:
    # Normalised by groups of channels: a lone voxel is not its own mean.
    total = (2 ** (len(arguments.get("blocks_down") or range(4)) - 1),) * dims
    return NetworkNeeds(total, total)


def _ahnet(arguments: Mapping[str, Any], dims: int) -> NetworkNeeds:
    # Its pyramid pools in-plane by up to 64 at half resolution; the third axis is only halved.
    plane = 128 if arguments.get("psp_block_num", 4) else 32
    return NetworkNeeds((plane, plane, 32)[:dims], (plane, plane, 32)[:dims])


_RULES: dict[str, Rule] = {
    "deepmedic": _deepmedic,
    "highres_net": _fixed(1, stride=1),
    "mednext": _fixed(16, stride=16),
    "monai.ahnet": _ahnet,
    "monai.attentionunet": _unet_of_monai,
    "monai.basicunet": _fixed(1, minimum=16, stride=16),
    "monai.basicunetplusplus": _fixed(1, minimum=16, stride=16),
    "monai.flexibleunet": _fixed(32, stride=32),
    "monai.flexunet": _fixed(32, stride=32),
    "monai.highresnet": _fixed(1),
    "monai.hyenandunetr": _swin,
    "monai.mednext": _powers("blocks_down", 4),
    "monai.quicknat": lambda arguments, dims: _fixed(16, stride=16)(arguments, 2),
    "monai.regunet": _powers("depth", 1),
    "monai.segresnet": _powers("blocks_down", 4, offset=1),
    "monai.segresnetds": _powers("blocks_down", 4, offset=1),
    "monai.swinunetr": _swin,
    "monai.unet": _unet_of_monai,
    "monai.unetr": _fixed(16),
    "monai.vnet": _fixed(16, stride=16),
    "segresnet": _segresnet,
    "swin_unetr": _fixed(32, stride=32),
    "unetr": _fixed(16),
}

"""The layers of every network written down, and their parameters by the primer's formula.

Nothing here looks into a network: each function lists what the papers, and for MONAI's networks
their authors' code, say that there is, and counts it: a convolution of F voxels from C channels to
K has ``(F·C + 1)·K`` parameters, without biases ``F·C·K``, and a norm 2 a channel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod
from typing import Any


@dataclass(frozen=True)
class Shape:
    """What a network is built for: its plan, and its own arguments (``more``)."""

    dims: int
    channels: int
    classes: int
    strides: Sequence[Sequence[int]] = ()
    kernels: Sequence[Sequence[int]] = ()
    features: Sequence[int] = ()
    size: Sequence[int] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    def voxels(self, length: int) -> int:
        """Return the voxels of a kernel as long along each axis."""
        return length**self.dims


def conv(size: int, c: int, k: int, *, bias: bool = True) -> int:
    return (size * c + bias) * k


def unit(size: int, c: int, k: int) -> int:
    """Convolution and norm."""
    return conv(size, c, k) + 2 * k


def unet_encoder(net: Shape) -> Iterator[int]:
    for kernel, (c, k) in zip(net.kernels, pairwise((net.channels, *net.features)), strict=True):
        yield unit(prod(kernel), c, k)
        yield unit(prod(kernel), k, k)


def up(net: Shape, stage: int, *, convs: int = 2, skips: int = 1) -> Iterator[int]:
    """One step of a decoder, to a stage: transposed convolution, then convolutions."""
    k = net.features[stage]
    yield conv(prod(net.strides[stage + 1]), net.features[stage + 1], k)
    yield unit(prod(net.kernels[stage]), (1 + skips) * k, k)
    for _ in range(convs - 1):
        yield unit(prod(net.kernels[stage]), k, k)


def unet(net: Shape) -> Iterator[int]:
    yield from unet_encoder(net)
    for stage in range(len(net.features) - 1):
        yield from up(net, stage)
    yield conv(1, net.features[0], net.classes)


def residual_unet(net: Shape) -> Iterator[int]:
    first = net.features[0]
    yield unit(prod(net.kernels[0]), net.channels, first)  # the stem
    blocks = (1, 3, 4, *[6] * len(net.features))
    for kernel, count, (c, k) in zip(
        net.kernels, blocks, pairwise((first, *net.features)), strict=False
    ):
        yield unit(prod(kernel), c, k)
        if c != k:
            yield conv(1, c, k, bias=False) + 2 * k  # the shortcut
        for _ in range(2 * count - 1):
            yield unit(prod(kernel), k, k)
    for stage in range(len(net.features) - 1):
        yield from up(net, stage, convs=1)
    yield conv(1, first, net.classes)


def dilated_unet(net: Shape) -> Iterator[int]:
    yield from unet(net)
    k, rates = net.features[-1], 4
    for _ in range(rates):
        yield unit(net.voxels(3), k, k // rates)
    yield unit(1, k // rates * rates, k)


def attention_unet(net: Shape) -> Iterator[int]:
    yield from unet(net)
    for stage in range(1, len(net.features) - 1):
        x, g = net.features[stage : stage + 2]
        yield conv(prod(net.strides[stage + 1]), x, x, bias=False)
        yield conv(1, g, x)
        yield conv(1, x, 1)


def unet_plus_plus(net: Shape) -> Iterator[int]:
    yield from unet_encoder(net)
    depth = len(net.features) - 1
    for column in range(1, depth + 1):
        for stage in range(depth + 1 - column):
            yield from up(net, stage, skips=column)
    yield conv(1, net.features[0], net.classes)


def segresnet(net: Shape) -> Iterator[int]:
    f, size = net.more.get("init_filters", 32), net.voxels(3)

    def block(c: int) -> int:
        return 2 * (2 * c + conv(size, c, c, bias=False))

    yield conv(size, net.channels, f, bias=False)
    for stage, blocks in enumerate((1, 2, 2, 4)):
        c = f * 2**stage
        if stage:
            yield conv(size, c // 2, c, bias=False)  # strided
            yield conv(1, c, c // 2, bias=False) + block(c // 2)  # up again
        yield from [block(c)] * blocks
    yield 2 * f + conv(1, f, net.classes)


def highres_net(net: Shape) -> Iterator[int]:
    features, size = net.more.get("features", (16, 32, 64)), net.voxels(3)
    c = features[0]
    yield conv(size, net.channels, c, bias=False) + 2 * c
    for k in features:
        for _ in range(3):
            yield 2 * c + conv(size, c, k, bias=False)
            yield 2 * k + conv(size, k, k, bias=False)
            c = k
    yield conv(1, c, net.classes)


def deepmedic(net: Shape) -> Iterator[int]:
    features = net.more.get("features", (30, 30, 40, 40, 40, 40, 50, 50))
    for _ in ("fine", "coarse"):
        for c, k in pairwise((net.channels, *features)):
            yield unit(net.voxels(3), c, k)
    widths = (2 * features[-1], *net.more.get("hidden", (150, 150)))
    for c, k in pairwise(widths):
        yield unit(1, c, k)
    yield conv(1, widths[-1], net.classes)


def mednext(net: Shape) -> Iterator[int]:
    """Preset S: two blocks a stage that widen twice; a kernel of 3."""
    f, size, ratio = net.more.get("init_filters", 32), net.voxels(3), 2

    def block(c: int, k: int) -> int:
        depthwise = conv(size, 1, c) + 2 * c
        return depthwise + conv(1, c, ratio * c) + conv(1, ratio * c, k)

    yield conv(1, net.channels, f)
    widths = [f * 2**i for i in (0, 1, 2, 3, 4, 3, 2, 1, 0)]
    for c in widths:
        yield from [block(c, c)] * 2
    for c, k in pairwise(widths):
        yield block(c, k) + conv(1, c, k)  # down or up, with its shortcut
    yield conv(1, f, net.classes)


def residual_pair(net: Shape, c: int, k: int) -> int:
    """Two convolutions and, where channels change, a shortcut; norms without parameters."""
    size = net.voxels(3)
    return size * (c * k + k * k) + (c * k if c != k else 0)


def enlarge(net: Shape, c: int, k: int) -> int:
    return conv(net.voxels(2), c, k, bias=False)


def transformer_layer(c: int, hidden: int, *, qkv_bias: bool) -> int:
    attention = conv(1, c, 3 * c, bias=qkv_bias) + conv(1, c, c)
    return 4 * c + attention + conv(1, c, hidden) + conv(1, hidden, c)


def unetr(net: Shape) -> Iterator[int]:
    h, f = net.more.get("hidden_size", 768), net.more.get("feature_size", 16)
    yield conv(net.voxels(16), net.channels, h)
    yield prod(n // 16 for n in net.size) * h  # positions
    yield from [transformer_layer(h, net.more.get("mlp_dim", 3072), qkv_bias=False)] * 12
    yield 2 * h
    yield residual_pair(net, net.channels, f)
    for times, more in ((2, 2), (4, 1), (8, 0)):  # layers 3, 6 and 9 on their way to the decoder
        k = times * f
        yield enlarge(net, h, k)
        yield from [enlarge(net, k, k) + residual_pair(net, k, k)] * more
    for c, k in pairwise((h, 8 * f, 4 * f, 2 * f, f)):
        yield enlarge(net, c, k) + residual_pair(net, 2 * k, k)
    yield conv(1, f, net.classes)


def swin_unetr(net: Shape) -> Iterator[int]:
    f = net.more.get("feature_size", 48)
    positions = net.voxels(2 * net.more.get("window_size", 7) - 1)
    yield conv(net.voxels(2), net.channels, f)
    for stage, depth in enumerate(net.more.get("depths", (2, 2, 2, 2))):
        c, heads = f * 2**stage, 3 * 2**stage
        yield from [transformer_layer(c, 4 * c, qkv_bias=True) + positions * heads] * depth
        merged = net.voxels(2) * c
        yield 2 * merged + conv(1, merged, 2 * c, bias=False)
    for c, k in ((net.channels, f), (f, f), (2 * f, 2 * f), (4 * f, 4 * f), (16 * f, 16 * f)):
        yield residual_pair(net, c, k)
    for c, k in pairwise((16 * f, 8 * f, 4 * f, 2 * f, f, f)):
        yield enlarge(net, c, k) + residual_pair(net, 2 * k, k)
    yield conv(1, f, net.classes)


LAYERS: Mapping[str, Callable[[Shape], Iterator[int]]] = {
    function.__name__: function
    for function in (
        *(unet, residual_unet, dilated_unet, attention_unet, unet_plus_plus),
        *(segresnet, swin_unetr, unetr, mednext, highres_net, deepmedic),
    )
}


def parameters(name: str, net: Shape) -> int:
    """Count the parameters of a network."""
    return sum(LAYERS[name](net))

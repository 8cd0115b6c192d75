"""A picture of a network: its graph from left to right, coarser layers lower."""

from __future__ import annotations

from collections import defaultdict
from math import log2, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.atomic import replacing
from medseg.errors import InputError
from medseg.networks.anatomy.layers import Anatomy, Layer, Node

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Plot

FORMATS = (".png", ".svg")
_OTHER = "channels or attention"
_COLOURS = {
    "image": "#444444",
    "convolution": "#4477aa",
    "strided": "#66ccee",
    "dilated": "#aa3377",
    "transposed": "#228833",
    "pooling": "#ccbb44",
    "enlarging": "#99cc77",
    _OTHER: "#ee6677",
}


def check(file: Path, *, overwrite: bool) -> None:
    """Make sure that a picture may be written, before there is work in it.

    Raises:
        InputError: another kind of file, or one that exists and is not to be overwritten.
    """
    if file.suffix.lower() not in FORMATS:
        raise InputError(
            "a picture of this kind cannot be written",
            file=file,
            expected=" or ".join(FORMATS),
            found=file.suffix or "no suffix",
        )
    if file.exists() and not overwrite:
        raise InputError("the file exists already", file=file, remedy="replace it with --overwrite")


def draw(anatomy: Anatomy, file: Path, *, overwrite: bool = False) -> None:
    """Draw a network into a PNG or SVG.

    Boxes are as high as they have channels, on a scale of doublings; each level down is half the
    resolution. A circle is where paths meet.

    Raises:
        InputError: see `check`, or the file cannot be written.
    """
    check(file, overwrite=overwrite)
    # Not pyplot: it would choose a window system and keep figures alive.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    places = layout(anatomy)
    columns = max(x for x, _ in places) + 1
    levels = -min(y for _, y in places) + 1
    figure = Figure(figsize=(min(80, 2.5 + 0.4 * columns), 2 + 1.1 * levels), layout="constrained")
    FigureCanvasAgg(figure)
    plot = figure.subplots()
    _edges(plot, anatomy, places)
    _boxes(plot, anatomy, places)
    _levels(plot, anatomy, places)
    plot.set_title(title(anatomy), fontsize=9, loc="left")
    plot.set(xlim=(-1.2, columns), ylim=(-levels + 0.3, 0.9))
    plot.axis("off")
    suffix = file.suffix.lower()
    with replacing(file, suffix=suffix) as temporary:
        figure.savefig(temporary, format=suffix[1:], dpi=120)


def title(anatomy: Anatomy) -> str:
    """Name a network and its size in a line."""
    field = " x ".join(map(str, anatomy.field)) if anatomy.field else "the whole patch"
    return (
        f"{anatomy.name}: {anatomy.parameters:,} parameters, {anatomy.flops / 1e9:,.1f} GFLOPs a "
        f"patch, receptive field {field}"
    )


def layout(anatomy: Anatomy) -> list[tuple[float, float]]:
    """Give each node a place: x is the longest way to it, y falls by 1 with each halving.

    Nodes that would share a place (parallel branches) stand above each other; tokens, which have no
    resolution, and meetings stay on the level that they come from.
    """
    depths: list[int] = []
    heights: list[float] = []
    image = anatomy.input[1:]
    for node in anatomy.nodes:
        depths.append(1 + max((depths[i] for i in node.inputs), default=-1))
        size = resolution(anatomy, node)
        if size is None:
            heights.append(heights[node.inputs[0]])
        else:
            heights.append(-log2(prod(image) / prod(size)) / len(image))
    shared: dict[tuple[int, float], list[int]] = defaultdict(list)
    for number, place in enumerate(zip(depths, heights, strict=True)):
        shared[place].append(number)
    places = [(0.0, 0.0)] * len(depths)
    for (x, y), numbers in shared.items():
        for i, number in enumerate(numbers):
            places[number] = (float(x), y + 0.7 * (i - (len(numbers) - 1) / 2) / len(numbers))
    return places


def resolution(anatomy: Anatomy, node: Node) -> tuple[int, ...] | None:
    """Return the voxels per axis behind the image, a convolution or a change of size."""
    if node.layer is not None:
        layer = anatomy.layers[node.layer]
        if kind_of(node, layer) == _OTHER:
            return None
    elif node.inputs:
        return None
    return node.shape[1:] if len(node.shape) == len(anatomy.input) else None


def kind_of(node: Node, layer: Layer | None) -> str:
    """Say which of the kinds that have a colour a node is."""
    if layer is None:
        return "image"
    name = layer.kind.lower()
    if "pool" in name:
        return "pooling"
    if "transpose" in name:
        return "transposed"
    if layer.kernel is None:
        return "enlarging" if "upsample" in name else _OTHER
    if max(layer.dilation or (1,)) > 1:
        return "dilated"
    return "strided" if max(layer.stride or (1,)) > 1 else "convolution"


def _boxes(plot: Plot, anatomy: Anatomy, places: list[tuple[float, float]]) -> None:
    widest = max(node.shape[0] for node in anatomy.nodes)
    rows: dict[tuple[float, int], int] = defaultdict(int)
    for x, y in places:
        rows[x, round(y)] += 1
    used: dict[str, Any] = {}
    for node, (x, y) in zip(anatomy.nodes, places, strict=True):
        if node.symbol:
            plot.scatter(
                [x], [y], s=60, color="white", edgecolors="black", linewidths=0.6, zorder=3
            )
            text = "c" if node.symbol == "cat" else node.symbol
            plot.text(x, y, text, ha="center", va="center", fontsize=6, zorder=4)
            continue
        layer = None if node.layer is None else anatomy.layers[node.layer]
        kind = kind_of(node, layer)
        height = 0.15 + 0.5 * log2(1 + node.shape[0]) / log2(1 + widest)
        height /= rows[x, round(y)]
        bar = plot.bar(x, height, 0.6, y - height / 2, color=_COLOURS[kind], zorder=3)
        used.setdefault(kind, bar)
        channels = str(node.shape[0])
        plot.text(x, y, channels, color="white", ha="center", va="center", fontsize=6, zorder=4)
    plot.legend(used.values(), used.keys(), fontsize=7, loc="lower left", frameon=False)


def _edges(plot: Plot, anatomy: Anatomy, places: list[tuple[float, float]]) -> None:
    """Draw what each node reads; a way around others on its level is an arc over them."""
    for node, (x, y) in zip(anatomy.nodes, places, strict=True):
        for source in node.inputs:
            x0, y0 = places[source]
            between = any(x0 < u < x and abs(v - y) < 0.3 for u, v in places)
            bend = -min(0.35, 1.6 / (x - x0)) if between and abs(y - y0) < 0.5 else 0.0
            plot.annotate(
                "",
                (x, y),
                (x0, y0),
                arrowprops={
                    "arrowstyle": "-",
                    "color": "#888888",
                    "linewidth": 0.8,
                    "connectionstyle": f"arc3,rad={bend}",
                },
                zorder=1,
            )


def _levels(plot: Plot, anatomy: Anatomy, places: list[tuple[float, float]]) -> None:
    """Write the resolution of each level beside it."""
    named: dict[int, tuple[int, ...]] = {}
    for node, (_, y) in zip(anatomy.nodes, places, strict=True):
        size = resolution(anatomy, node)
        if size is not None:
            named.setdefault(round(y), size)
    for level, size in named.items():
        plot.text(-0.6, level, " x ".join(map(str, size)), ha="right", va="center", fontsize=7)

"""What is known of a network and of each of its layers; plain numbers, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Layer:
    """One layer at work, in the order in which a prediction runs them.

    Attributes:
        name: where it is in the network; one that runs several times has ``#2`` … behind it.
        kind: its class; of what a ``forward`` does by itself, the operator.
        shape: of its output, without the batch: ``(C, *S)``; ``None``: a prediction does not run
            it.
        kernel, stride, dilation: per axis, where there is a kernel.
        parameters: its own; those that several layers share are counted at the first.
        flops: of one patch; a multiplication and an addition are two.
        field: receptive field in voxels of the input per axis; ``None`` where it does not depend on
            the image, or on all of it (``whole``).
        whole: what shows it the whole patch, else empty.
    """

    name: str
    kind: str
    shape: tuple[int, ...] | None = None
    kernel: tuple[int, ...] | None = None
    stride: tuple[int, ...] | None = None
    dilation: tuple[int, ...] | None = None
    parameters: int = 0
    flops: int = 0
    field: tuple[int, ...] | None = None
    whole: str = ""


@dataclass(frozen=True)
class Node:
    """A place in the network's graph: the image, a layer, or where paths meet.

    Attributes:
        symbol: of a meeting: ``+``, ``×`` or ``cat``; else empty.
        layer: number of the layer, if it is one.
        shape: ``(C, *S)`` of what comes out.
        inputs: numbers of the nodes that it reads.
    """

    shape: tuple[int, ...]
    inputs: tuple[int, ...] = ()
    symbol: str = ""
    layer: int | None = None


@dataclass(frozen=True)
class Anatomy:
    """A network, described.

    Attributes:
        name: of the network.
        input: ``(C, *S)``.
        output: ``(K, *S)``, the logits.
        layers: see `Layer`.
        nodes: the graph; the first is the image.
        field: receptive field of the logits in voxels per axis; ``None``: the whole patch.
        whole: what shows them the whole patch, else empty.
        unused: parameters that no prediction uses.
        spacing: millimetres per voxel, where it is known.
    """

    name: str
    input: tuple[int, ...]
    output: tuple[int, ...]
    layers: tuple[Layer, ...]
    nodes: tuple[Node, ...]
    field: tuple[int, ...] | None
    whole: str = ""
    unused: int = 0
    spacing: tuple[float, ...] | None = None

    @property
    def parameters(self) -> int:
        """Parameters in all."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def flops(self) -> int:
        """FLOPs of one patch forward."""
        return sum(layer.flops for layer in self.layers)

    def millimetres(self, field: Sequence[int] | None) -> tuple[float, ...] | None:
        """Return a receptive field in mm; ``None`` where it or the spacing is not known."""
        if field is None or self.spacing is None:
            return None
        return tuple(round(n * mm, 3) for n, mm in zip(field, self.spacing, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return plain containers."""
        layers = [
            {**asdict(layer), "field_mm": self.millimetres(layer.field)} for layer in self.layers
        ]
        totals = {
            "layers": len(layers),
            "parameters": self.parameters,
            "unused": self.unused,
            "flops": self.flops,
            "field": self.field,
            "field_mm": self.millimetres(self.field),
            "whole": self.whole,
        }
        return {
            "network": self.name,
            "input": self.input,
            "output": self.output,
            "spacing": self.spacing,
            "totals": totals,
            "layers": layers,
        }

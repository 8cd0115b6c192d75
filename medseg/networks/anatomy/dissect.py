"""From a network to its `Anatomy`, by one forward pass that computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from medseg.detection.output import DetectionOutput
from medseg.errors import InputError
from medseg.networks.anatomy.axes import fields
from medseg.networks.anatomy.layers import Anatomy
from medseg.networks.anatomy.trace import Trace
from medseg.networks.outputs import finest


def dissect(
    network: nn.Module,
    *,
    in_channels: int,
    size: Sequence[int],
    name: str | None = None,
    spacing: Sequence[float] | None = None,
) -> Anatomy:
    """Describe a network by what runs when it predicts one patch.

    The network runs on tensors without values, so size costs nothing; one that looks into its
    values runs once in earnest. Norms are taken as what they are to each voxel and not for the mean
    over all of them, by which an instance norm would see the whole patch.

    Args:
        network: on any device; its mode (training or not) is put back.
        in_channels: channels of the input.
        size: spatial size of the input in voxels.
        name: of the network; ``None``: its class.
        spacing: millimetres per voxel of the input.

    Raises:
        InputError: the network cannot take the input, or does not return logits.
    """
    shape = (1, in_channels, *size)
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            trace, logits = _run(network, shape)
    finally:
        network.train(training)
    trace.add_rest()
    seen = trace.seen(logits)
    return Anatomy(
        name=name or type(network).__name__,
        input=shape[1:],
        output=tuple(logits.shape[1:]),
        layers=tuple(trace.layers),
        nodes=tuple(trace.nodes),
        field=fields(seen.axes, len(size)) if seen and seen.axes else None,
        whole=seen.whole if seen else "operators that cannot be followed",
        unused=trace.unused(),
        spacing=None if spacing is None else tuple(float(mm) for mm in spacing),
    )


def _run(network: nn.Module, shape: Sequence[int]) -> tuple[Trace, Tensor]:
    parameter = next(network.parameters(), torch.empty(0))
    like: dict[str, Any] = {"device": parameter.device, "dtype": parameter.dtype}
    if parameter.device.type != "meta":
        try:
            return _watched(network, shape, like, FakeTensorMode(allow_non_fake_inputs=True))
        except InputError:
            raise
        except Exception:  # what a network of others looks at is anybody's guess
            pass
    try:
        return _watched(network, shape, like, nullcontext())
    except InputError:
        raise
    except (
        AssertionError,
        IndexError,
        NotImplementedError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise InputError(
            f"{type(network).__name__} cannot take an input of this shape: {error}",
            found=f"(B, C, *S) = {tuple(shape)}",
            remedy="give another patch size, or change the network's arguments",
        ) from error


def _watched(
    network: nn.Module,
    shape: Sequence[int],
    like: dict[str, Any],
    values: AbstractContextManager[Any],
) -> tuple[Trace, Tensor]:
    with values:
        image = torch.zeros(tuple(shape), **like)
        trace = Trace(network, image)
        with trace.hooked(), trace:
            output = network(image)
    if isinstance(output, DetectionOutput):  # its finest level sees the least
        return trace, output.class_logits[0]
    return trace, finest(output, spatial_dims=len(shape) - 2)

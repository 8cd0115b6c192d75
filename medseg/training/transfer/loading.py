"""Start a network from the weights of another training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medseg.networks.neighbouring_slices import NeighbouringSlices
from medseg.networks.stages import Stages, stages_of
from medseg.training.transfer.encoders import renamed
from medseg.training.transfer.inputs import Channels
from medseg.training.transfer.matching import Meaning, match
from medseg.training.transfer.report import Report
from medseg.training.transfer.source import Source, read


def load_pretrained(
    network: nn.Module,
    source: str | Path | Source,
    *,
    channels: Sequence[str] | None = None,
    guides: Sequence[str] = (),
    classes: Sequence[str] | None = None,
    regions: bool | None = None,
    stages: Stages | None = None,
) -> Report:
    """Fill a network with what a file has for it, in place, and say what became of each weight.

    Layers are found by name, prefixes of wrappers aside. The first layer is fitted to other input
    channels: those named alike keep their kernels, others take the mean of the file's, and all are
    multiplied by the ratio of channels; without names as many channels are taken in order. Masks
    that a first stage has found keep the kernels of the file's mask of that class, or begin with
    zeros, so that they change nothing at first. The last layer is fitted to other classes: those
    named alike are carried over, the others stay as the network initialised them. What the file has
    not stays as it is, what the network has not is left out. Any other difference of shape is an
    error. The encoder of a U-Net is that of a detector, and the other way round.

    Args:
        network: any network; see `medseg.networks.stages.stages_of` for what is known of it.
        source: see `medseg.training.transfer.source.read`, or what it returned.
        channels: names of the image's channels; ``None``: unknown.
        guides: classes of a first stage whose masks are input channels behind these.
        classes: names of its outputs, the background included; ``None``: unknown.
        regions: whether the outputs are overlapping regions; they and classes that exclude each
            other are not carried over into one another.
        stages: where its first and last layers are; ``None``: as `stages_of` finds.

    Raises:
        InputError: the file cannot be read, nothing in it belongs to the network, or a layer in the
            middle has another shape; says which, and what would fit. The network is unchanged.
    """
    found = source if isinstance(source, Source) else read(source)
    core, neighbours = network, 0
    if isinstance(network, NeighbouringSlices):
        core, neighbours = network.network, network.neighbours
    found = replace(found, state=renamed(found.state, core.state_dict(keep_vars=True)))
    meaning = Meaning(Channels(channels, guides, neighbours), classes, regions)
    values, report = match(
        core, found, stages=stages_of(core) if stages is None else stages, meaning=meaning
    )
    own: dict[str, Any] = core.state_dict(keep_vars=True)
    with torch.no_grad():
        for name, value in values.items():
            if not own[name].is_meta:
                own[name].copy_(value)
    return report

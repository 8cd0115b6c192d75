"""Does a network map an image to logits? One forward pass answers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from medseg.errors import InputError
from medseg.networks.input_context import context_of, with_context
from medseg.networks.outputs import finest


def probe(network: nn.Module, *, in_channels: int, num_classes: int, size: Sequence[int]) -> None:
    """Run a network once, in evaluation and without gradients, and check what comes out.

    For networks of others: a classifier or an autoencoder builds as well as a segmenter does, and
    would fail only in the loss.

    Args:
        network: on any device; its mode (training or not) is put back.
        in_channels: channels of the input.
        num_classes: channels that the logits must have.
        size: spatial size of the logits, the patch for instance.

    Raises:
        InputError: the network cannot take the input, or returns something else than logits
            ``(1, num_classes, *size)``.
    """
    name = type(network).__name__
    parameter = next(network.parameters(), torch.empty(0))
    x = torch.zeros(1, in_channels, *size, device=parameter.device, dtype=parameter.dtype)
    x = with_context(x, context_of(network, spatial_dims=len(size)))
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            logits = finest(network(x), spatial_dims=len(size))
    except InputError:
        raise
    except (AssertionError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"{name} cannot take an input of the planned shape: {error}",
            found=f"(B, C, *S) = {tuple(x.shape)}",
            remedy="change plan.patch_size or the network's arguments",
        ) from error
    finally:
        network.train(training)
    if tuple(logits.shape) != (1, num_classes, *size):
        raise InputError(
            f"{name} does not return one logit per class and voxel",
            expected=f"(B, num_classes, *S) = {(1, num_classes, *size)}",
            found=str(tuple(logits.shape)),
            remedy="choose a segmentation network, or give it the patch size it was made for",
        )

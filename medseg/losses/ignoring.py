"""Whether a loss can leave voxels out."""

from __future__ import annotations

import inspect

from torch import nn

from medseg.errors import InputError


def require_ignoring(loss: nn.Module) -> None:
    """Refuse a loss that would learn from voxels that nobody has labelled.

    Raises:
        InputError: its ``forward`` has no argument ``valid``.
    """
    if "valid" not in inspect.signature(loss.forward).parameters:
        name = type(getattr(loss, "loss", loss)).__name__
        raise InputError(
            f"the loss {name} cannot leave out the voxels of the ignore label",
            expected="forward(logits, target, valid), valid being True where voxels take part",
            remedy="use a loss of medseg, or map the label to a class with data.value_map",
        )

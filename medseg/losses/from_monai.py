"""Any loss of `monai.losses` that compares a segmentation with a target, in our convention."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from medseg.errors import InputError
from medseg.losses.targets import full_precision, index_target, region_target

# These take logits and indices without a `to_onehot_y`.
_INDEX_LOSSES = {"GeneralizedWassersteinDiceLoss", "NACLLoss"}
# Their cross-entropy is over exclusive classes even with sigmoid=True.
_EXCLUSIVE_ONLY = {*_INDEX_LOSSES, "DiceCELoss", "dice_ce", "AsymmetricUnifiedFocalLoss"}
_ACTIVATIONS = ("sigmoid", "softmax", "use_softmax", "other_act")


class MonaiLoss(nn.Module):
    """Adapts a MONAI loss: ``forward(logits, target)`` with class indices or region masks.

    What MONAI leaves to the user (``to_onehot_y``, ``softmax`` or ``sigmoid``) follows from
    ``regions`` where the loss has that argument and the user did not give one. MONAI's other
    defaults stay: ``include_background`` is true there. No voxel can be left out: where an ignore
    label is declared, use a loss of ours.

    Args:
        cls: a class of `monai.losses`.
        arguments: for its constructor.
        regions: whether the target is region masks ``(B, R, *S)`` instead of indices.
        num_classes: outputs of the network, given to the losses that ask for it.
        spatial_dims: 2 or 3, likewise.

    Raises:
        InputError: the loss is not one of segmentations, cannot take overlapping regions, or
            refuses its arguments.
    """

    def __init__(
        self,
        cls: type[nn.Module],
        arguments: Mapping[str, Any],
        *,
        regions: bool,
        num_classes: int | None = None,
        spatial_dims: int | None = None,
    ) -> None:
        super().__init__()
        name = cls.__name__
        accepted = inspect.signature(cls).parameters
        if "to_onehot_y" not in accepted and name not in _INDEX_LOSSES:
            raise InputError(
                f"monai.{name} does not compare a segmentation with a target",
                expected=f"one of {', '.join(segmentation_losses())}",
            )
        if regions and name in _EXCLUSIVE_ONLY:
            raise InputError(
                f"monai.{name} takes exclusive classes, not overlapping regions",
                remedy="use dice_bce, or a MONAI loss with sigmoid such as monai.DiceFocalLoss",
            )
        wired: dict[str, Any] = {"to_onehot_y": not regions}
        if not any(key in arguments for key in _ACTIVATIONS):
            wired |= {"sigmoid": regions, "softmax": not regions, "use_softmax": not regions}
        wired |= {"num_classes": num_classes, "classes": num_classes, "dim": spatial_dims}
        wired = {k: v for k, v in wired.items() if k in accepted and v is not None}
        try:
            self.loss = cls(**{**wired, **_as_tensors(arguments)})
        except (TypeError, ValueError) as error:
            raise InputError(
                f"monai.{name} refuses its arguments: {error}",
                expected=f"arguments of {name}{inspect.signature(cls)}",
                found=str(dict(arguments)),
            ) from error
        self.regions = regions
        # This one takes probabilities, whatever its docstring says: it clamps to 0 … 1.
        self.wants_probabilities = name == "AsymmetricUnifiedFocalLoss"
        self.wants_plain_indices = name in _INDEX_LOSSES

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of logits ``(B, K, *S)``; half precision is widened first."""
        logits = full_precision(logits)
        if self.regions:
            return self.loss(logits, region_target(logits, target))
        target = index_target(logits, target)
        if self.wants_plain_indices:
            target = target.squeeze(1)
        if self.wants_probabilities:
            logits = torch.softmax(logits, dim=1)
        return self.loss(logits, target)


def segmentation_losses() -> tuple[str, ...]:
    """Return the names in `monai.losses` that `MonaiLoss` can wrap."""
    import monai.losses

    classes = {n: getattr(monai.losses, n) for n in dir(monai.losses) if n[0].isupper()}
    return tuple(
        name
        for name, cls in sorted(classes.items())
        if inspect.isclass(cls)
        and issubclass(cls, nn.Module)
        and (name in _INDEX_LOSSES or "to_onehot_y" in inspect.signature(cls).parameters)
    )


def _as_tensors(arguments: Mapping[str, Any]) -> dict[str, Any]:
    # Recipes hold lists; some MONAI losses index `weight` and `dist_matrix` as tensors.
    return {
        key: torch.as_tensor(value, dtype=torch.float32)
        if key in ("weight", "dist_matrix") and isinstance(value, list | tuple)
        else value
        for key, value in arguments.items()
    }

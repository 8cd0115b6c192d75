"""Into which phases the time of a training is divided, and how Lightning's actions tell them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

LOADER, TRANSFER, AUGMENT = "loader", "transfer", "augment"
FORWARD, LOSS, BACKWARD = "forward", "loss", "backward"
OPTIMIZER, VALIDATION, START, OTHER = "optimizer", "validation", "start", "other"

EPOCH = "run_training_epoch"  # Lightning's action around an epoch; its loader starts within

PHASES: Mapping[str, str] = {
    LOADER: "waiting for the loader",
    TRANSFER: "copying to the device",
    AUGMENT: "augmentation",
    FORWARD: "forward",
    LOSS: "loss",
    BACKWARD: "backward",
    OPTIMIZER: "optimiser and averaging",
    VALIDATION: "validation",
    START: "first step",
    OTHER: "logging, checkpoints, other",
}
"""Name as it is logged -> what it is."""

# Lightning names its actions `[Owner]Class.hook`; the profiler sees each begin and end.
_HOOKS = {
    "train_dataloader_next": LOADER,
    "batch_to_device": TRANSFER,
    "transfer_batch_to_device": TRANSFER,
    "on_before_batch_transfer": AUGMENT,
    "on_after_batch_transfer": AUGMENT,
    "training_step": FORWARD,
    "backward": BACKWARD,
    "optimizer_step": OPTIMIZER,
    "optimizer_zero_grad": OPTIMIZER,
    "configure_gradient_clipping": OPTIMIZER,
    "lr_scheduler_step": OPTIMIZER,
    "save_checkpoint": OTHER,
}


@cache
def phase_of(action: str) -> str | None:
    """Return the phase that an action of Lightning's profiler opens; ``None``: it opens none."""
    if action.startswith("[Callback]"):
        return None
    return _HOOKS.get(action.rpartition(".")[2])


@cache
def matters(action: str) -> bool:
    """Say whether an action tells of a phase; most do not, and there are dozens in a step."""
    return action == EPOCH or phase_of(action) is not None


def shares_of(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return each phase's fraction of the sum, in the order of `PHASES`; all 0 of nothing."""
    total = sum(seconds.values())
    return {name: seconds.get(name, 0.0) / total if total > 0 else 0.0 for name in PHASES}

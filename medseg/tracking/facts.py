"""Read off a trainer what advice about its speed depends on."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch

from medseg.machine import usable_cores
from medseg.tracking.advice import Facts


def facts_of(trainer: pl.Trainer, pl_module: pl.LightningModule) -> Facts:
    """Look at device, loader, precision, network and optimiser of a training under way."""
    device = trainer.strategy.root_device.type
    loader: Any = trainer.train_dataloader
    return Facts(
        device=device,
        cores=usable_cores(),
        workers=int(getattr(loader, "num_workers", 0)),
        pinned=bool(getattr(loader, "pin_memory", False)),
        full_precision=str(trainer.precision).startswith(("32", "64")),
        bf16=device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False),
        compiled=any(_is_compiled(module) for module in pl_module.modules()),
        fused=_fused(trainer.optimizers),
    )


def _is_compiled(module: Any) -> bool:
    # By name: the class lies in torch._dynamo, which takes a second to import.
    compiled_in_place = getattr(module, "_compiled_call_impl", None) is not None
    return compiled_in_place or type(module).__name__ == "OptimizedModule"


def _fused(optimizers: list[Any]) -> bool | None:
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    if not groups or not all("fused" in group for group in groups):
        return None
    return all(bool(group["fused"]) for group in groups)

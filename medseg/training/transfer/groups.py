"""Discriminative learning rates: the further a stage is from the head, the slower it learns.

Howard and Ruder, Universal Language Model Fine-tuning for Text Classification, arXiv 1801.06146.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn
from torch.optim import Optimizer

from medseg.errors import InputError
from medseg.networks.stages import Stages, parameters_under, stages_of


def parameter_groups(
    network: nn.Module, *, lr: float, lr_decay: float = 0.8, stages: Stages | None = None
) -> list[dict[str, Any]]:
    """Group what a network trains by stages, for any optimiser, the head first.

    The head learns at ``lr``, the last stage before it at ``lr * lr_decay``, and each one further
    towards the input at ``lr_decay`` times the next one's rate. Frozen parameters are left out. An
    optimiser with several rates of its own (Muon's ``adamw_lr``) wants `decayed`.

    Args:
        network: the network.
        lr: learning rate of the head.
        lr_decay: factor from stage to stage, above 0 and at most 1.
        stages: of the network; ``None``: as `stages_of` finds.

    Returns:
        ``{"params": […], "name": …, "lr": …}`` each.

    Raises:
        InputError: the network's stages are not known, or the factor is out of its range.
    """
    return [
        {"params": group["params"], "name": group["name"], "lr": lr * group["lr_scale"]}
        for group in scaled_groups(network, lr_decay=lr_decay, stages=stages)
    ]


def scaled_groups(
    network: nn.Module, *, lr_decay: float, stages: Stages | None = None
) -> list[dict[str, Any]]:
    """Return the groups of `parameter_groups` with a factor ``lr_scale`` in place of the rate."""
    if not 0.0 < lr_decay <= 1.0:
        raise InputError(
            "lr_decay is a factor on the learning rate from stage to stage",
            expected="a number above 0 and at most 1",
            found=str(lr_decay),
        )
    stages = stages_of(network) if stages is None else stages
    if not stages.body or not stages.head:
        raise InputError(
            f"the stages of {type(network).__name__} are not known, so they cannot have learning "
            "rates of their own",
            remedy="leave lr_decay out, or give your network a method transfer_stages() that "
            "returns medseg.networks.stages.Stages",
        )
    ordered = [("head", stages.head), *((stage[-1], stage) for stage in reversed(stages.body))]
    groups: list[dict[str, Any]] = []
    seen: set[int] = set()
    for depth, (name, paths) in enumerate(ordered):
        chosen = [p for _, p in parameters_under(network, paths) if p.requires_grad]
        seen |= {id(p) for p in chosen}
        groups.append({"params": chosen, "name": name, "lr_scale": lr_decay**depth})
    # What belongs to no stage is nobody's business but the input's: it learns slowest.
    groups[-1]["params"] += [
        p for p in network.parameters() if p.requires_grad and id(p) not in seen
    ]
    return [group for group in groups if group["params"]]


def decayed(
    make: Callable[[Iterable[Any]], Optimizer], network: nn.Module, lr_decay: float
) -> Optimizer:
    """Make an optimiser whose rates fall towards the input, whatever its own rates are.

    The factor is applied to the rates that the optimiser gives its groups, so that one with several
    (Muon has two) keeps their ratio.

    Args:
        make: makes the optimiser from groups of parameters.
        network: see `parameter_groups`.
        lr_decay: likewise.
    """
    optimizer = make(scaled_groups(network, lr_decay=lr_decay))
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * group["lr_scale"]
    return optimizer

"""Which parts of a network a fine-tuning trains, and how the others are kept as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from math import ceil
from typing import Any, Literal, get_args

from torch import nn

from medseg.errors import InputError
from medseg.networks.stages import Stages, parameters_under, stages_of

Regime = Literal["small", "medium", "large"]
REGIMES: tuple[str, ...] = get_args(Regime)


def trained_modules(
    network: nn.Module, regime: str, *, last: int | None = None, stages: Stages | None = None
) -> tuple[str, ...] | None:
    """Say which modules a regime trains.

    Args:
        network: the network.
        regime: ``small``: the head alone; ``medium``: the last stages and the head; ``large``:
            everything.
        last: of ``medium``, how many stages; ``None``: a third of them, rounded up.
        stages: of the network; ``None``: as `stages_of` finds.

    Returns:
        Paths of modules; ``None``: all of them.

    Raises:
        InputError: there is no such regime; the network's head or stages are not known; there are
            fewer stages than ``last``.
    """
    if regime not in REGIMES:
        raise InputError(
            f"there is no regime {regime!r}", expected=" or ".join(REGIMES), found=repr(regime)
        )
    if regime == "large":
        return None
    stages = stages_of(network) if stages is None else stages
    name = type(network).__name__
    if not stages.head:
        raise InputError(
            f"the head of {name} is not known, so nothing else can be frozen",
            remedy="take regime large, or give your network a method transfer_stages() that "
            "returns medseg.networks.stages.Stages",
        )
    if regime == "small":
        return stages.head
    if not stages.body:
        raise InputError(
            f"the stages of {name} are not known, so there are no last ones to train",
            remedy="take regime small or large, or give your network a method transfer_stages() "
            "that returns medseg.networks.stages.Stages",
        )
    count = ceil(len(stages.body) / 3) if last is None else last
    if not 1 <= count <= len(stages.body):
        raise InputError(
            f"{name} has {len(stages.body)} stages",
            expected=f"a number of stages to train from 1 to {len(stages.body)}",
            found=str(count),
            remedy="name fewer, or take regime large, which trains all",
        )
    chosen = [path for stage in stages.body[-count:] for path in stage]
    return (*chosen, *stages.head)


def freeze(
    network: nn.Module, regime: str, *, last: int | None = None, stages: Stages | None = None
) -> None:
    """Keep all of a network as it is but what a regime trains; see `trained_modules`.

    What is frozen needs no gradient, so no backward pass goes through what lies before the first
    part that is trained. It stays in evaluation mode, whatever ``train()`` says: batch norms keep
    their statistics, and nothing is dropped out. `thaw` undoes it.

    Raises:
        InputError: as for `trained_modules`.
    """
    chosen = trained_modules(network, regime, last=last, stages=stages)
    if chosen is not None:
        freeze_all_but(network, chosen)


def freeze_all_but(network: nn.Module, paths: Iterable[str]) -> None:
    """Freeze what lies under none of the modules at ``paths``; see `freeze`."""
    paths = list(paths)
    trained = {id(parameter) for _, parameter in parameters_under(network, paths)}
    for parameter in network.parameters():
        if id(parameter) not in trained:
            parameter.requires_grad_(False)
    kept = {id(module) for path in paths for module in network.get_submodule(path).modules()}
    for parent, names in _apart(network, kept):
        # The parent watches over them: what is converted to SyncBatchNorm is another module
        # afterwards, under the same name. A partial copies and pickles with its module.
        parent.train = partial(_train_all_but, parent, names)  # type: ignore[method-assign]
        _evaluate(parent, names)


def thaw(network: nn.Module) -> None:
    """Train everything again, after `freeze`; the mode is that of the network."""
    network.requires_grad_(True)
    for module in network.modules():
        vars(module).pop("train", None)
    network.train(network.training)


def _apart(module: nn.Module, kept: set[int]) -> Iterator[tuple[nn.Module, tuple[str, ...]]]:
    """Yield each module with something to keep inside, and its children that have nothing of it."""
    if id(module) in kept:
        return
    children = dict(module.named_children())
    holding = {
        name: child
        for name, child in children.items()
        if any(id(part) in kept for part in child.modules())
    }
    yield module, tuple(name for name in children if name not in holding)
    for child in holding.values():
        yield from _apart(child, kept)


def _train_all_but(module: Any, names: Sequence[str], mode: bool = True) -> Any:
    type(module).train(module, mode)
    _evaluate(module, names)
    return module


def _evaluate(module: nn.Module, names: Sequence[str]) -> None:
    for name in names:
        module.get_submodule(name).eval()

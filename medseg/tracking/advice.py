"""From where the time went to the one setting worth changing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from medseg.tracking.phases import (
    AUGMENT,
    BACKWARD,
    FORWARD,
    LOADER,
    LOSS,
    OPTIMIZER,
    OTHER,
    START,
    TRANSFER,
    VALIDATION,
)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the advice depends on besides the shares.

    Attributes:
        device: type of the training device, as torch names it.
        cores: that this process may use.
        workers: processes that load.
        pinned: whether the loader's batches lie in pinned memory.
        full_precision: whether the network computes in float32 or more.
        bf16: whether the device computes in bfloat16.
        compiled: whether the network, or a part of it, is compiled.
        fused: whether the optimiser is fused; ``None``: it cannot be.
        validations: how often the training validated.
        limit: the setting that says how long to train.
    """

    device: str = "cpu"
    cores: int = 1
    workers: int = 0
    pinned: bool = False
    full_precision: bool = True
    bf16: bool = False
    compiled: bool = False
    fused: bool | None = None
    validations: int = 0
    limit: str = "trainer.budget"


def advise(shares: Mapping[str, float], facts: Facts) -> str:
    """Return one sentence that names the bottleneck and the setting to change.

    The phase that takes most among those that take more than they should is named; where none
    does, the network is the limit, as it should be.

    Args:
        shares: phase -> fraction of the time.
        facts: of the device and the set-up.
    """
    over = [name for name, limit in _LIMITS.items() if shares.get(name, 0.0) >= limit]
    if facts.device == "cpu" and TRANSFER in over:
        over.remove(TRANSFER)  # nothing is copied anywhere
    if over:
        worst = max(over, key=lambda name: shares[name])
        return _ADVICE[worst](f"{shares[worst]:.0%}", facts)
    network = sum(shares.get(name, 0.0) for name in (FORWARD, LOSS, BACKWARD))
    return _network(f"{network:.0%}", facts)


# What a phase may take before it is worth a word. Forward and backward pass have no limit.
_LIMITS = {
    LOADER: 0.10,
    TRANSFER: 0.05,
    AUGMENT: 0.15,
    LOSS: 0.25,
    OPTIMIZER: 0.10,
    VALIDATION: 0.20,
    START: 0.25,
    OTHER: 0.10,
}


_LESS_TO_LOAD = (
    "keep the cases in memory (data.cache=ram) if they are not, and transforms of single samples "
    "out of augmentation"
)


def _loader(share: str, facts: Facts) -> str:
    waits = f"The network waits for the loader {share} of the time"
    spare = min(facts.cores - 1, 8)
    if facts.device != "cpu" and facts.workers < spare:
        return f"{waits}: load in more processes (data.workers={spare})."
    if facts.device != "cpu":
        return f"{waits}, and no core is left to load: {_LESS_TO_LOAD}."
    return f"{waits}, on the cores that train: {_LESS_TO_LOAD}."


def _transfer(share: str, facts: Facts) -> str:
    copies = f"Copying batches to the device takes {share} of the time"
    if not facts.pinned:
        return f"{copies}: let the loader pin its memory (pin_memory=True)."
    return f"{copies}: keep the cases there (data.cache=device)."


def _augment(share: str, facts: Facts) -> str:
    where = " on the cores that train" if facts.device == "cpu" else ""
    return (
        f"Augmentation takes {share} of the time{where}: take the light set (augmentation=light), "
        "or fewer transforms."
    )


def _loss(share: str, facts: Facts) -> str:
    return (
        f"The loss takes {share} of the time: score fewer resolutions "
        "(network.deep_supervision=false), or take a simpler loss (loss=dice_ce)."
    )


def _optimizer(share: str, facts: Facts) -> str:
    takes = f"The optimiser and weight averaging take {share} of the time"
    if facts.fused is False:
        return f"{takes}: update all weights at once (optimizer.fused=true)."
    return f"{takes}: step less often, on more patches (trainer.accumulate=2)."


def _validation(share: str, facts: Facts) -> str:
    takes = f"Validation takes {share} of the time"
    if facts.validations == 1:  # the one at the end, which no setting leaves out
        return (
            f"{takes}, though there was but one: train longer ({facts.limit}), or validate on "
            "fewer cases (trainer.validation_cases)."
        )
    return f"{takes}: validate less often (trainer.validate_every)."


def _start(share: str, facts: Facts) -> str:
    if facts.compiled:
        return (
            f"The first step, which compiles the network, took {share} of the time: too much for a "
            "training this short (trainer.compile=false)."
        )
    return (
        f"The first step took {share} of the time, to set up the loader and the device: it pays in "
        f"a longer training ({facts.limit})."
    )


def _other(share: str, facts: Facts) -> str:
    return (
        f"Logging, checkpoints and callbacks take {share} of the time: write checkpoints less "
        "often (trainer.checkpoint_every), log to fewer places (logger)."
    )


def _network(share: str, facts: Facts) -> str:
    limit = f"The network itself is the limit, with {share} of the time"
    if facts.device != "cpu" and facts.full_precision and facts.bf16:
        return f"{limit}: compute in half precision (trainer.precision=bf16-mixed)."
    if facts.device == "cuda" and not facts.compiled:
        return f"{limit}: try compiling it (trainer.compile=true)."
    faster = "a GPU" if facts.device == "cpu" else "a faster device"
    return (
        f"{limit}, as it should be: only {faster}, a smaller network (plan.features) or a smaller "
        "patch (plan.patch_size) makes more steps."
    )


_ADVICE: dict[str, Callable[[str, Facts], str]] = {
    LOADER: _loader,
    TRANSFER: _transfer,
    AUGMENT: _augment,
    LOSS: _loss,
    OPTIMIZER: _optimizer,
    VALIDATION: _validation,
    START: _start,
    OTHER: _other,
}

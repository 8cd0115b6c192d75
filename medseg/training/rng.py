"""The states of all random generators, as tensors that ``weights_only`` loading accepts."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from medseg.data.feed.seeds import mix


def capture() -> dict[str, torch.Tensor]:
    """Return the states of Python's, NumPy's and PyTorch's global generators."""
    _, words, gauss = random.getstate()
    numpy_state: tuple[Any, ...] = np.random.get_state()  # type: ignore[assignment]
    _, keys, position, has_gauss, cached = numpy_state
    states = {
        "python": torch.tensor(words, dtype=torch.int64),
        "python_gauss": torch.tensor(float("nan") if gauss is None else gauss, dtype=torch.float64),
        "numpy": torch.tensor(keys.astype(np.int64)),
        "numpy_rest": torch.tensor([position, has_gauss, cached], dtype=torch.float64),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states |= {f"cuda:{i}": s for i, s in enumerate(torch.cuda.get_rng_state_all())}
    return states


def set_apart(number: int) -> None:
    """Let process ``number`` draw other dropout than the first one, which goes on as it was.

    All of them begin with the same states, so that what they draw still follows from the seed.
    """
    if number:
        torch.manual_seed(mix(int(torch.randint(2**62, ())), number))


def restore(states: dict[str, torch.Tensor]) -> None:
    """Set all generators to `capture`'s states; devices that are not there are passed over."""
    gauss = float(states["python_gauss"])
    random.setstate((3, tuple(states["python"].tolist()), None if gauss != gauss else gauss))
    position, has_gauss, cached = states["numpy_rest"].tolist()
    keys = states["numpy"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", keys, int(position), int(has_gauss), cached))
    torch.set_rng_state(states["torch"].cpu())
    for i in range(torch.cuda.device_count()):
        if f"cuda:{i}" in states:
            torch.cuda.set_rng_state(states[f"cuda:{i}"].cpu(), i)

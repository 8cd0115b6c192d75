"""How CUDA computes while a training runs, and while its steps are measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def fastest(device: torch.device) -> Iterator[None]:
    """Let cuDNN search for its fastest algorithms and CUDA multiply in TF32, for a while.

    Patches of one size make the search worth while. On other devices nothing changes.
    """
    if device.type != "cuda":
        yield
        return
    benchmark, precision = torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = benchmark
        torch.set_float32_matmul_precision(precision)

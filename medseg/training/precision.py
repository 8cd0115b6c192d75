"""Whether bfloat16 pays on the processor at hand."""

from __future__ import annotations

import time
from functools import lru_cache

import torch
from torch.nn import functional as F

from medseg.inference.device import has_bf16_instructions

# Where the processor has to emulate it, a step takes up to twice as long as in float32; where it
# computes in it, about half as long. Between them nothing is close.
_GAIN = 1.2


@lru_cache(maxsize=1)
def bf16_pays_on_cpu() -> bool:
    """Say whether convolutions in bfloat16 are faster here: native instructions, and timed.

    Takes a fifth of a second, once in a process.
    """
    if not has_bf16_instructions():
        return False
    plain, brief = timed()
    return plain > _GAIN * brief


def timed() -> tuple[float, float]:
    """Return the seconds of a convolution, forward and backward, in float32 and in bfloat16.

    Processor time of one thread, in turns: two runs on one machine must not differ in what they
    choose because something else was running.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 16, 16, 28, 24, generator=generator).requires_grad_()
    weight = torch.randn(16, 16, 3, 3, 3, generator=generator).requires_grad_()
    times: dict[bool, list[float]] = {False: [], True: []}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(5):
            for brief, seconds in times.items():
                started = time.process_time()
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=brief):
                    F.conv3d(x, weight, padding=1).float().sum().backward()
                seconds.append(time.process_time() - started)
    finally:
        torch.set_num_threads(threads)
    return min(times[False][1:]), min(times[True][1:])

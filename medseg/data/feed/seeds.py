"""Independent streams of random numbers from one seed."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence

_MASK = (1 << 64) - 1


def mix(seed: int, stream: int) -> int:
    """Derive a 63-bit seed from a seed and a stream number.

    Source: the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), which spreads
    neighbouring inputs over the whole range.
    """
    z = (seed * 0x9E3779B97F4A7C15 + stream * 0xD1B54A32D192ED03 + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return (z ^ (z >> 31)) >> 1


def streams(names: Sequence[str]) -> list[int]:
    """Number the streams of a list of transforms by name and occurrence.

    Position plays no part, so taking one transform out leaves the choices of the others as they
    were.
    """
    seen: Counter[str] = Counter()
    numbers = []
    for name in names:
        numbers.append(zlib.crc32(f"{name}:{seen[name]}".encode()))
        seen[name] += 1
    return numbers


def generator(seed: int) -> np.random.Generator:
    """Make a generator of a seed; ``default_rng`` takes twice as long, and a sample needs ten."""
    return np.random.Generator(np.random.PCG64(_Words(seed)))  # type: ignore[arg-type]


class _Words(ISeedSequence):
    """What a bit generator begins with, from `mix`."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def generate_state(self, n_words: int, dtype: Any = np.uint64) -> np.ndarray:
        words = np.array([mix(self.seed, number) for number in range(n_words)], dtype=np.uint64)
        return words.astype(dtype)

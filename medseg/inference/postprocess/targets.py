"""A class, a region or the whole foreground: what voxels become that leave it, or join it.

Regions overlap, and a mask holds one label a voxel. So a voxel that leaves a region takes the label
that lies in as many of its other regions as can be, and in none that it was not in: small enhancing
tumour becomes necrosis, what leaves the whole tumour background. A voxel that joins a region takes
the label that keeps it in all its regions; where there is none (a class in the hole of another) it
stays as it is. Classes that exclude each other are the simplest case of this.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medseg.errors import InputError, did_you_mean
from medseg.labels import LabelScheme

FOREGROUND = "foreground"
"""All classes together; a class of this name goes first."""


@dataclass(frozen=True, eq=False)
class Target:
    """Tables over label indices, see `LabelScheme`; indices of no class stay as they are.

    Attributes:
        name: of the class or region.
        inside: bool ``(256,)``, which indices lie in it.
        left: uint8 ``(256,)``, what an index becomes whose voxel leaves it.
        joined: uint8 ``(256,)``, what an index becomes whose voxel joins it.
    """

    name: str
    inside: np.ndarray
    left: np.ndarray
    joined: np.ndarray


def find_target(name: str, scheme: LabelScheme) -> Target:
    """Make the tables of a class, a region or `FOREGROUND`.

    Raises:
        InputError: there is none of that name.
    """
    inside = np.zeros(256, dtype=bool)
    left, joined = np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8)
    outputs = dict(zip(scheme.foreground, scheme.region_indices(), strict=True))
    if name not in outputs:
        if name != FOREGROUND:
            raise _unknown(name, scheme)
        inside[1 : len(scheme.values)] = True
        left[inside] = 0
        return Target(name, inside, left, joined)
    inside[list(outputs[name])] = True
    lies_in = [
        frozenset(other for other, members in outputs.items() if index in members)
        for index in range(len(scheme.values))
    ]
    for index in range(len(scheme.values)):
        table, find = (left, _without) if inside[index] else (joined, _with)
        table[index] = find(index, name, lies_in, _written(scheme))
    return Target(name, inside, left, joined)


Regions = list[frozenset[str]]
"""Per label index the names of the classes or regions that it lies in."""


def _without(index: int, name: str, lies_in: Regions, written: set[int]) -> int:
    kept = lies_in[index] - {name}
    fits = [label for label, regions in enumerate(lies_in) if regions <= kept]
    return max(fits, key=lambda label: (len(lies_in[label]), label in written, -label))


def _with(index: int, name: str, lies_in: Regions, written: set[int]) -> int:
    wanted = lies_in[index] | {name}
    fits = [label for label, regions in enumerate(lies_in) if regions >= wanted]
    return min(
        fits, key=lambda label: (len(lies_in[label]), label not in written, label), default=index
    )


def _written(scheme: LabelScheme) -> set[int]:
    """Give the indices that decoding writes for regions: of two labels that fit, these go first."""
    position = {value: index for index, value in enumerate(scheme.values.values())}
    return {position[value] for value in scheme.order if value in position}


def _unknown(name: str, scheme: LabelScheme) -> InputError:
    known = [*scheme.foreground, FOREGROUND]
    return InputError(
        f"there is no {'region' if scheme.regions else 'class'} {name!r} to postprocess",
        expected=", ".join(known),
        found=name,
        remedy=did_you_mean(name, known) or None,
    )

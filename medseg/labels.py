"""What a network's outputs mean: exclusive classes, or overlapping regions of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from medseg.errors import InputError
from medseg.regions import decoding_order, require_decodable

# The index of voxels that nobody has labelled. Not 255: augmentation marks mixed cells with that.
IGNORED = 254


class UndeclaredValues(InputError):
    """A label holds values that nobody declared."""


@dataclass(frozen=True)
class LabelScheme:
    """Names and file values of the classes of a segmentation.

    Attributes:
        values: name -> integer stored in label files, background (0) included and first.
        regions: name -> file values whose union is the region (BraTS: ``TC = (1, 4)``), or empty.
            Regions may overlap; each gets a sigmoid output of its own.
        order: with regions: the file value that decoding writes for each region, in the order of
            ``regions``; later regions overwrite earlier ones. Decoding wants the largest first:
            WT -> 2, TC -> 1, ET -> 4.
        ignore: file value of voxels that nobody has labelled, or ``None``. It is no class: it is
            not predicted, and its voxels count in no loss and no score.

    Inside medseg a label array holds *indices* ``0 … len(values) - 1`` in the order of ``values``;
    file values appear only where files are read and written (`to_index`, `to_value`). Voxels to
    ignore have the index `IGNORED`.
    """

    values: Mapping[str, int]
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    order: tuple[int, ...] = ()
    ignore: int | None = None

    def __post_init__(self) -> None:
        values = {str(name): int(value) for name, value in self.values.items()}
        values = dict(sorted(values.items(), key=lambda item: (item[1] != 0, item[1])))
        if 0 not in values.values():
            values = {"background": 0, **values}
        if len(set(values.values())) != len(values):
            raise InputError("two labels share one value", found=str(values))
        if len(values) > IGNORED:
            raise InputError(
                "there are too many labels", expected=f"{IGNORED} at most", found=str(len(values))
            )
        if len(values) < 2:
            raise InputError("there is no class beside the background", found=str(values))
        _check_ignored(self.ignore, values)
        regions = {str(k): tuple(int(v) for v in vs) for k, vs in self.regions.items()}
        for name, members in regions.items():
            unknown = sorted(set(members) - set(values.values()))
            if unknown or not members or 0 in members:
                raise InputError(
                    f"region {name!r} must unite declared foreground values",
                    expected=f"some of {sorted(v for v in values.values() if v)}",
                    found=str(list(members)),
                )
        order = tuple(int(v) for v in self.order)
        if regions and not order:
            order = decoding_order(regions)
        if len(order) != len(regions):
            raise InputError(
                "the decoding order must give one label value per region",
                expected=f"{len(regions)} values",
                found=str(order),
            )
        require_decodable(regions, order, values)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "regions", regions)
        object.__setattr__(self, "order", order)

    @property
    def num_outputs(self) -> int:
        """Channels of the network: classes with background, or regions."""
        return len(self.regions) or len(self.values)

    @property
    def foreground(self) -> tuple[str, ...]:
        """Names of what is scored: the regions, or the classes without background."""
        return tuple(self.regions) if self.regions else tuple(self.values)[1:]

    def to_index(self, label: np.ndarray) -> np.ndarray:
        """Turn file values ``(…)`` into ``uint8`` indices.

        Raises:
            UndeclaredValues: a value is not declared.
            InputError: a value is no whole number. Values within 0.01 of an integer count as it:
                label files stored as scaled floats read as 0.99999997.
        """
        label = np.asarray(label)
        rounded = label if label.dtype.kind in "iub" else np.rint(label)
        if rounded is not label and not np.all(np.abs(label - rounded) <= 0.01):
            worst = label[~(np.abs(label - rounded) <= 0.01)].flat[0]
            raise InputError("label values must be whole numbers", found=str(float(worst)))
        declared, indices = self._table()
        low, high = int(declared.min()), int(declared.max())
        inside = not label.size or (low <= rounded.min() and rounded.max() <= high)
        if inside and high - low < 65536:
            # One look-up instead of a pass per class: a hundred classes take no longer than two.
            table = np.full(high - low + 1, -1, dtype=np.int16)
            table[declared - low] = indices
            found = table[rounded.astype(np.int32) - low]
        else:
            found = np.full(label.shape, -1, dtype=np.int16)
            for index, value in zip(indices, declared, strict=True):
                found[rounded == value] = index
        if found.size and found.min() < 0:
            unknown = np.unique(rounded[found < 0])[:10]
            raise UndeclaredValues(
                "the label holds values that are not declared",
                expected=f"values {declared.tolist()}",
                found=f"also {[int(v) for v in unknown]}",
                remedy="declare them under data.labels, or map them with data.value_map",
            )
        return found.astype(np.uint8)

    def to_value(self, index: np.ndarray) -> np.ndarray:
        """Turn indices ``(…)`` back into file values (uint8, or int32 where they do not fit)."""
        declared, indices = self._table()
        kind = np.uint8 if declared.min() >= 0 and declared.max() <= 255 else np.int32
        table = np.zeros(indices.max() + 1, dtype=kind)
        table[indices] = declared
        return table[index]

    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the values in files, and the index of each."""
        values, indices = [*self.values.values()], [*range(len(self.values))]
        if self.ignore is not None:
            values, indices = [*values, self.ignore], [*indices, IGNORED]
        return np.array(values), np.array(indices)

    def region_indices(self) -> tuple[tuple[int, ...], ...]:
        """Give the indices that make up each output that is scored, ordered as `foreground`."""
        if not self.regions:
            return tuple((i,) for i in range(1, len(self.values)))
        index = {value: i for i, value in enumerate(self.values.values())}
        return tuple(tuple(index[v] for v in members) for members in self.regions.values())

    def to_dict(self) -> dict:
        """Return plain containers for JSON, YAML and checkpoints."""
        state = {
            "values": dict(self.values),
            "regions": {name: list(members) for name, members in self.regions.items()},
            "order": list(self.order),
        }
        return state if self.ignore is None else {**state, "ignore": self.ignore}

    @classmethod
    def from_dict(cls, state: Mapping) -> LabelScheme:
        """Rebuild from `to_dict`."""
        order = tuple(state.get("order", ()))
        return cls(state["values"], state.get("regions", {}), order, state.get("ignore"))


def is_foreground(index: Any) -> Any:
    """Tell of an array or tensor of indices which voxels belong to a class."""
    return (index != 0) & (index != IGNORED)


def _check_ignored(ignore: int | None, values: Mapping[str, int]) -> None:
    owner = next((name for name, value in values.items() if value == ignore), None)
    if owner is not None:
        raise InputError(
            "the ignore label cannot be a class too: its voxels are neither learnt nor scored",
            expected="a value that no class has",
            found=f"ignore {ignore}, {owner!r} {ignore}",
            remedy="give it another value, or move that of the files with data.value_map",
        )

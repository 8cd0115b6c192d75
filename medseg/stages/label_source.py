"""Where the meaning of label values comes from, when masks are compared outside a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from medseg.data.formats import presets
from medseg.data.prepare.reading import load_mask
from medseg.errors import InputError
from medseg.labels import LabelScheme


def find(
    given: str | None,
    predictions: Path,
    pairs: list[tuple[str, Path, Path]],
    value_map: Mapping[int, int],
) -> LabelScheme:
    """Return the label scheme: the given one, that beside the predictions, or the values found.

    Args:
        given: a preset's name, or a JSON file as `medseg predict` writes beside its masks.
        predictions: folder whose ``labels.json`` is taken if nothing is given.
        pairs: ``(case, prediction, reference)``; without either, every value found is a class.
        value_map: file value -> label value, applied to the values found.

    Raises:
        InputError: the file is not one, or no preset has that name.
    """
    file = Path(given) if given else predictions / "labels.json"
    if file.is_file():
        try:
            return LabelScheme.from_dict(json.loads(file.read_text(encoding="utf-8")))
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                "this is no label file",
                file=file,
                expected='JSON such as {"values": {"background": 0, "tumour": 1}}',
                found=f"{type(error).__name__}: {error}",
            ) from error
    if given:
        return presets.get(given).labels
    values: set[int] = {
        value_map.get(int(v), int(v))
        for pair in pairs
        for path in pair[1:]
        for v in np.unique(np.rint(load_mask(path, value_map).data))
    }
    return LabelScheme({"background": 0, **{f"label_{v}": v for v in sorted(values) if v}})

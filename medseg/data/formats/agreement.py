"""Refuse a label preset that contradicts what the data set says of itself, voxels unread."""

from __future__ import annotations

from pathlib import Path

from medseg.data.formats import presets
from medseg.data.formats.layout import Layout
from medseg.data.formats.presets import Preset
from medseg.errors import InputError

# The name under which labels declare the value of voxels that nobody has labelled, as in nnU-Net.
IGNORE = "ignore"


def require_agreement(layout: Layout, preset: Preset, source: Path) -> None:
    """Hold a preset against the data set's own description and the names of its cases.

    Raises:
        InputError: ``dataset.json`` declares other labels, or the cases are called as in another
            year or challenge, where the same numbers mean something else.
    """
    _require_declared(layout, preset, source)
    ids = [case.id for case in layout.cases]
    named = presets.fitting_names(ids)
    if not named or any(preset.means_the_same(other) for other in named):
        return
    raise InputError(
        f"the label preset {preset.name!r} is not that of these cases",
        file=source,
        expected=" or ".join(f"{other.name} ({other.source})" for other in named),
        found=f"{preset.name} ({preset.source}) for cases such as {ids[0]}",
        remedy=f"data.labels={' or '.join(other.name for other in named)}; if the masks were "
        "converted, write what their values mean: data.labels={NAME: VALUE}",
    )


def _require_declared(layout: Layout, preset: Preset, source: Path) -> None:
    if not layout.binding or layout.values is None:
        return
    implied = presets.PRESETS[layout.preset] if layout.preset else None
    same_meaning = implied is None or dict(implied.values) == dict(preset.values)
    declared = {v for name, v in layout.values.items() if name != IGNORE}
    if declared - {0} != set(preset.values.values()) or not same_meaning:
        raise InputError(
            f"the label preset {preset.name!r} contradicts what the data set declares",
            file=source,
            expected=str(dict(layout.values)),
            found=f"{preset.name}: {dict(preset.values)}",
            remedy=f"data.labels={layout.preset}" if layout.preset else "leave data.labels out",
        )

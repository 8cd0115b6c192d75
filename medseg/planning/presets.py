"""The presets by name: nnU-Net's, and the fast one."""

from __future__ import annotations

from medseg.errors import InputError
from medseg.planning.fast import FAST
from medseg.planning.memory import GpuMemory
from medseg.planning.preset import Name, Preset


def _residual(name: Name, gb: float, volumes: float, pictures: float) -> Preset:
    batch = {2: 12, 3: 2}
    # Unlike the plain planner these shrink until the whole reference batch fits, and a batch may
    # cover the data set.
    limit = GpuMemory(gb, {2: pictures, 3: volumes}, batch=batch, least=batch)
    return Preset(name, limit, residual=True, covered=1.0)


# nnU-Net v2's calibration: 8 GB hold the training of networks with so many values a patch.
STANDARD = Preset(
    "standard", GpuMemory(8, {2: 85e6, 3: 560e6}, batch={2: 12, 3: 2}, least={2: 2, 3: 2})
)
# nnU-Net publishes M, L and XL. S is what its planner for M makes of a memory target of 4 GB, half
# of M's: the GPUs of laptops, of 4 to 6 GB, which M does not fit.
RESENC_S = _residual("resenc_s", 4, 680e6 / 2, 135e6 / 2)
RESENC_M = _residual("resenc_m", 8, 680e6, 135e6)
RESENC_L = _residual("resenc_l", 24, 2100e6, 380e6)
RESENC_XL = _residual("resenc_xl", 40, 3600e6, 560e6)


PRESETS = {
    preset.name: preset for preset in (STANDARD, FAST, RESENC_S, RESENC_M, RESENC_L, RESENC_XL)
}


def find(name: Name | Preset) -> Preset:
    """Return a preset by its name; one that was made for an occasion (`fast.at`) is its own.

    Raises:
        InputError: there is no such preset.
    """
    preset = name if isinstance(name, Preset) else PRESETS.get(name)
    if preset is None:
        raise InputError(f"there is no preset {name!r}", expected=", ".join(PRESETS))
    return preset

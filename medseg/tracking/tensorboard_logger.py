"""TensorBoard with the recipe as text and with overlays."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning.loggers import TensorBoardLogger as _TensorBoardLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from medseg.tracking.case_names import CaseNames
from medseg.tracking.options import TensorBoardOptions


class TensorBoardLogger(_TensorBoardLogger):
    """Lightning's logger, writing below ``folder/tensorboard``.

    Args:
        folder: of the fold.
        config: plain containers, shown as text.
        options: see `TensorBoardOptions`.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        config: Mapping[str, Any],
        options: TensorBoardOptions,
    ) -> None:
        super().__init__(str(folder), name="tensorboard", version="", default_hp_metric=False)
        self.options = options
        self.case_names = CaseNames(Path(folder), hashed=options.hash_cases)
        self.images = options.images if options.log_images else 0
        self._config = config

    @rank_zero_only
    def log_config(self) -> None:
        """Show the configuration as text."""
        for name, value in self._config.items():
            text = json.dumps(value, indent=2, default=str).replace("\n", "\n    ")
            self.experiment.add_text(str(name), f"    {text}")

    @rank_zero_only
    def log_overlays(self, overlays: Sequence[tuple[str, np.ndarray]], step: int) -> None:
        """Show ``(case id, uint8 (H, W, 3))`` pictures."""
        for case_id, picture in overlays:
            tag = f"overlays/{self.case_names(case_id)}"
            self.experiment.add_image(tag, picture, step, dataformats="HWC")

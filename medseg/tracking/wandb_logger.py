"""A W&B run that never asks, never hangs on a missing key, and sends no more than it is told to."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning.loggers import WandbLogger as _WandbLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from medseg.tracking.box_pictures import BoxPicture, of_one_size
from medseg.tracking.case_names import CaseNames
from medseg.tracking.options import WandbOptions
from medseg.tracking.overlays import same_size
from medseg.tracking.wandb_boxes import wandb_boxes
from medseg.tracking.wandb_run import open_run


class WandbLogger(_WandbLogger):
    """Lightning's logger over a run that is already open.

    The run's id lies in ``folder/wandb_id``, so that a resumed training goes on in the same run.
    Without a key, or without an answer from the server, the run is kept offline.

    Args:
        folder: of the fold; the run's files go to ``folder/wandb``.
        config: plain containers: the resolved recipe (with ``${VAR}`` unexpanded) and the plan.
        run_name: shown in the list of runs.
        options: see `WandbOptions`.
        resume: go on with the run whose id is there.
        say: receives one line about where the run goes.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        config: Mapping[str, Any],
        run_name: str,
        options: WandbOptions,
        resume: bool = False,
        say: Callable[[str], None] = print,
    ) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.options = options
        self.case_names = CaseNames(folder, hashed=options.hash_cases)
        self.images = options.images if options.log_images else 0
        project = options.project or os.environ.get("WANDB_PROJECT") or "medseg"
        run = None
        if getattr(rank_zero_only, "rank", 0) == 0:
            run = open_run(
                folder,
                config=config,
                name=run_name,
                project=project,
                options=options,
                resume=resume,
                say=say,
            )
        super().__init__(
            name=run_name, save_dir=folder, project=project, log_model=False, experiment=run
        )
        if run is not None:
            self._id = run.id

    @rank_zero_only
    def log_overlays(self, overlays: Sequence[tuple[str, np.ndarray]], step: int) -> None:
        """Show ``(case id, uint8 (H, W, 3))`` pictures in one panel."""
        self.log_image(
            "overlays",
            same_size([picture for _, picture in overlays]),
            step=step,
            caption=[self.case_names(case_id) for case_id, _ in overlays],
        )

    @rank_zero_only
    def log_boxes(self, overlays: Sequence[tuple[str, BoxPicture]], step: int) -> None:
        """Show ``(case id, picture)`` in one panel, where boxes are filtered by class and score."""
        pictures = of_one_size([picture for _, picture in overlays])
        self.log_image(
            "overlays",
            [picture.plain for picture in pictures],
            step=step,
            caption=[self.case_names(case_id) for case_id, _ in overlays],
            boxes=[wandb_boxes(picture) for picture in pictures],
        )

    @rank_zero_only
    def log_file(self, path: Path, *, kind: str, name: str | None = None) -> None:
        """Keep a file as a version of the artifact ``KIND-RUN_ID``.

        The file is read where it lies when the run is sent, so no copy is kept outside the run.
        """
        import wandb

        artifact = wandb.Artifact(re.sub(r"[^\w.-]", "-", f"{kind}-{self.experiment.id}"), kind)
        artifact.add_file(str(path), name=name or path.name, policy="immutable", skip_cache=True)
        # log_model=True of Lightning's logger refuses to work offline; this does not.
        self.experiment.log_artifact(artifact, aliases=["latest", "best"])

    @rank_zero_only
    def log_summary(self, values: Mapping[str, float | str]) -> None:
        """Set what describes the run as a whole."""
        self.experiment.summary.update(dict(values))

    @rank_zero_only
    def close(self, *, failed: bool = False) -> None:
        """Finish the run; a later session may resume it."""
        if self._experiment is not None:
            self._experiment.finish(exit_code=1 if failed else 0)

"""progress.png: the course of a training at a glance."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from medseg.score_names import SCORE_NAMES

_log = logging.getLogger(__name__)
_MOST_POINTS = 400

Points = list[list[float]]


class CurvesCallback(pl.Callback):
    """Draws loss, learning rate and scores per class into ``progress.png`` after each validation.

    What it draws travels with the checkpoints, so that the picture of a resumed training is whole.

    Args:
        folder: where the picture goes.
        loss: name of the logged training loss.
        scores: prefix of the logged scores; default: the task's ``score_name`` (``val/map``
            of a detection), else ``val/dice``.
    """

    def __init__(
        self, folder: str | Path, *, loss: str = "train/loss", scores: str | None = None
    ) -> None:
        self.file = Path(folder) / "progress.png"
        self.loss, self.scores = loss, scores or SCORE_NAMES["segmentation"]
        self._chosen = scores is not None
        self.curves: dict[str, Points] = {}
        self._every: dict[str, int] = {}
        self._step = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Ask the task for its score, where none was named."""
        if not self._chosen:
            self.scores = getattr(pl_module, "score_name", self.scores)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        """Note loss and learning rate, where due: reading them waits for the device."""
        step, every = trainer.global_step, max(1, getattr(trainer, "log_every_n_steps", 1))
        stepped, self._step = step != self._step, step
        if not stepped or (step != 1 and step % every):
            return
        for name in (self.loss, "lr"):
            if name in trainer.callback_metrics:
                self._add(name, step, trainer.callback_metrics[name])

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the scores and draw."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        for name, value in trainer.callback_metrics.items():
            if name.startswith(self.scores):
                self._add(name, trainer.global_step, value)
        if trainer.is_global_zero:
            try:
                draw(self.curves, self.file, loss=self.loss, scores=self.scores)
            except OSError as error:  # a full disk must not end the training over a picture
                _log.warning("progress.png was not written: %s", error)

    def state_dict(self) -> dict[str, Any]:
        """Return the points so far."""
        return {
            "curves": {name: [list(p) for p in points] for name, points in self.curves.items()},
            "every": dict(self._every),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the points of an earlier session."""
        self.curves = {name: [list(p) for p in points] for name, points in state["curves"].items()}
        self._every = dict(state["every"])

    def _add(self, name: str, step: int, value: Any) -> None:
        points = self.curves.setdefault(name, [])
        if step % self._every.setdefault(name, 1):
            return
        if points and points[-1][0] == step:
            points.pop()
        points.append([float(step), float(value)])
        if len(points) > _MOST_POINTS and not name.startswith(self.scores):
            # Half the points, twice as far apart: checkpoints stay small however long it takes.
            self._every[name] *= 2
            points[:] = [p for p in points if p[0] % self._every[name] == 0]


def draw(curves: dict[str, Points], file: Path, *, loss: str, scores: str) -> None:
    """Write a PNG of ``name -> [[step, value], …]``."""
    # Not pyplot: it would choose a window system and keep figures alive.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _plot(left, curves.get(loss, []), label=loss, color="tab:blue")
    left.set(xlabel="step", ylabel=loss)
    if curves.get("lr"):
        rate = left.twinx()
        _plot(rate, curves["lr"], label="lr", color="tab:grey")
        rate.set(ylabel="lr")
    names = [name for name in curves if name.startswith(scores)]
    for name in names:
        mean = name == scores
        label = "mean" if mean else name.removeprefix(f"{scores}/")
        _plot(
            right, curves[name], label=label, marker="o", markersize=3, linewidth=2.5 if mean else 1
        )
    right.set(xlabel="step", ylabel=scores, ylim=(0, 1))
    right.grid(alpha=0.3)
    if 0 < len(names) <= 12:
        right.legend(loc="best")
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        figure.savefig(beside, format="png")
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def _plot(axes: Any, points: Points, **style: Any) -> None:
    axes.plot([x for x, _ in points], [y for _, y in points], **style)

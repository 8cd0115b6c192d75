"""What every stage is given: the recipe, its run folder, and a voice."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from medseg import build
from medseg.data.case import Case, Dataset
from medseg.recipe import Recipe
from medseg.stages.reporter import Reporter
from medseg.stages.run_folder import RunFolder, digest, files_state
from medseg.tracking import close_loggers


@dataclass
class Job:
    """A recipe at work in its run folder.

    Attributes:
        recipe: the checked recipe.
        folder: its run folder.
        report: how stages speak.
        trust: packages whose code may run.
        overwrite: replace existing results.
        loggers: open loggers of a training, closed when the job ends.
    """

    recipe: Recipe
    folder: RunFolder
    report: Reporter
    trust: tuple[str, ...] = ()
    overwrite: bool = False
    loggers: list[Any] = field(default_factory=list)

    def __enter__(self) -> Job:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close the loggers that a training opened."""
        if self.loggers:
            close_loggers(self.loggers, failed=kind is not None)

    @property
    def workers(self) -> int:
        """Processes that read and preprocess cases."""
        chosen = self.recipe.data.workers
        return min(build.usable_cores(), 8) if chosen is None else chosen

    @cached_property
    def dataset(self) -> Dataset:
        """The data set, read from its folder (phantoms are written first)."""
        return build.build_dataset(self.recipe, self.folder.path)

    @cached_property
    def data_state(self) -> str:
        """Hash of the data part of the recipe and of every file's size and time of change."""
        files = [path for case in self.dataset.cases for path in files_of(case)]
        data = build.plain(self.recipe.data)
        for key in ("fold", "folds", "splits", "workers", "cache"):
            data.pop(key, None)
        return digest(data, files_state(files))


def files_of(case: Case) -> list[Any]:
    """List the files of a case."""
    return [*case.images, *([case.label] if case.label else [])]

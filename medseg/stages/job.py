"""What every stage is given: the recipe, its run folder, and a voice."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from medseg import build
from medseg.data.case import Case, Dataset
from medseg.data.prepare.raw import companions
from medseg.data.prepare.sources import Stamp, stamp, unchanged
from medseg.machine import usable_cores, within_cores
from medseg.recipe import Recipe
from medseg.stages.crew import Crew
from medseg.stages.reporter import Reporter
from medseg.stages.run_folder import RunFolder, digest
from medseg.tracking import close_loggers

if TYPE_CHECKING:
    from medseg.stages.guides import Guides


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
        device_is_settled: ``device.yaml`` was just measured for this start, and is not measured
            again.
        crew: the processes that train together; ``None``: this one alone.
    """

    recipe: Recipe
    folder: RunFolder
    report: Reporter
    trust: tuple[str, ...] = ()
    overwrite: bool = False
    loggers: list[Any] = field(default_factory=list)
    device_is_settled: bool = False
    crew: Crew | None = None

    def __enter__(self) -> Job:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close the loggers that a training opened; a run that was to be replaced comes back."""
        if self.loggers:
            close_loggers(self.loggers, failed=kind is not None)
        if self.folder.replaced.settle(failed=kind is not None):
            self.report.say("  what was to be overwritten stands as it was")

    @property
    def processes(self) -> int:
        """Processes that train one network."""
        return 1 if self.crew is None else self.crew.world_size

    @property
    def processes_here(self) -> int:
        """Those of them that share this machine."""
        return 1 if self.crew is None else self.crew.local_size

    @cached_property
    def workers(self) -> int:
        """Processes that read and preprocess cases; more than there are cores are not used."""
        chosen = self.recipe.data.workers
        if chosen is None:
            return min(usable_cores(), 8)
        used, remark = within_cores(chosen)
        if remark:
            self.report.say(f"  {remark}")
        return used

    @cached_property
    def dataset(self) -> Dataset:
        """The data set, read from its folder (phantoms and frames of videos are written first)."""
        what = "phantoms" if self.recipe.data.format == "phantom" else "frames"
        with self.report.progress(what) as advance:
            dataset = build.build_dataset(self.recipe, self.folder.path, progress=advance)
        self.folder.begin()
        return dataset

    @cached_property
    def guides(self) -> Guides | None:
        """What a first stage has found in every case; ``None``: the recipe has no first stage.

        Raises:
            InputError: it is not there yet, or not of these data.
        """
        from medseg.stages import guides  # which needs a `Job`

        return guides.find(self)

    @property
    def guided(self) -> Dataset:
        """The data set, its cases with what a first stage has found in them, if there is one."""
        return self.dataset if self.guides is None else self.guides.of(self.dataset)

    @cached_property
    def data_files(self) -> dict[str, tuple[Stamp, ...]]:
        """The files of every labelled case as they were when this job began, by case id."""
        return {case.id: _stamps(case) for case in self.dataset.cases}

    @cached_property
    def data_state(self) -> str:
        """Hash of what the data set is said to be, and of its files' sizes and times of change."""
        dataset = self.dataset
        # What was read counts, not only what the recipe says: dataset.json may have been edited.
        meaning = [
            dataset.format,
            list(dataset.channels),
            dataset.labels.to_dict(),
            sorted(dataset.value_map.items()),
            self.recipe.data.empty_labels,
        ]
        if dataset.objects is not None:
            meaning += [
                dataset.objects.to_dict(),
                [repr((case.annotation, case.instances or ())) for case in dataset.cases],
            ]
        return digest(meaning, list(self.data_files.items()))

    def require_unchanged(self, cases: Iterable[Case] | None = None) -> None:
        """Make sure that the files of some cases, or of all, are those that this job began with.

        Raises:
            InputError: one was changed or removed; which and how is said.
        """
        seen = self.data_files
        for case in self.dataset.cases if cases is None else cases:
            unchanged(seen[case.id])


def _stamps(case: Case) -> tuple[Stamp, ...]:
    found = []
    for file in files_of(case):
        with suppress(OSError):  # the stage that reads it says so
            found += [stamp(part) for part in companions(file)]
    return tuple(found)


def files_of(case: Case) -> list[Any]:
    """List the files of a case."""
    drawn = None if case.annotation is None else case.annotation.file
    return [*case.images, *(file for file in (case.label, case.guide, drawn) if file)]

"""What a cascade's first stage has found in every case, for the second to learn from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medseg import build
from medseg.data.case import Case, Dataset
from medseg.data.formats.files import count
from medseg.data.prepare.sources import file_digest
from medseg.errors import InputError
from medseg.planning.guidance import Guidance
from medseg.stages import first_stage
from medseg.stages.job import Job
from medseg.stages.masks import existing
from medseg.stages.names import some
from medseg.stages.run_folder import digest, files_state
from medseg.stages.splits import recorded_splits


@dataclass(frozen=True)
class Guides:
    """Masks of a first stage.

    Attributes:
        first: its run folder.
        masks: case id -> mask.
        guidance: how the second stage uses them.
        unseen: ids of the cases whose masks come from a network that was not trained on them.
    """

    first: Path
    masks: Mapping[str, Path]
    guidance: Guidance
    unseen: Collection[str]

    def of(self, dataset: Dataset) -> Dataset:
        """Give each case of a data set its mask."""
        cases = tuple(replace(case, guide=self.masks[case.id]) for case in dataset.cases)
        return replace(dataset, cases=cases)

    def state(self) -> list[list[str]]:
        """Give a hash of each mask: predicted once more, or moved, it is the same one."""
        return [[case, file_digest(self.masks[case])] for case in sorted(self.masks)]

    def require_unseen(self, held_out: Sequence[Case]) -> None:
        """Refuse to validate on cases that the first stage was trained on.

        Raises:
            InputError: naming them.
        """
        seen = [case.id for case in held_out if case.id not in self.unseen]
        if seen:
            raise InputError(
                "the first stage was trained on cases that are held out here",
                file=self.first / "splits.json",
                found=some(seen),
                remedy=f"hold out the same: data.splits={self.first / 'splits.json'}",
            )


def find(job: Job) -> Guides | None:
    """Find the first stage's masks of all cases; ``None``: the recipe has no first stage.

    With ``cascade.out_of_fold`` these are its predictions of held-out cases, from all of its folds.
    Else the network of the one fold predicts the cases that it was trained on, too, into
    ``guides/``: those that are missing, one after the other.

    Raises:
        InputError: the first stage is missing, is of other data, labels or channels, or has not
            predicted every case; the message says which folds are missing, and what makes them.
    """
    guidance = build.guidance_of(job.recipe, job.dataset.labels)
    if guidance is None:
        return None
    first = build.first_folder(job.recipe)
    first_stage.require_same_data(job.recipe, job.dataset)
    held_out = existing(first / "predictions", job.dataset.cases)
    if not job.recipe.cascade.out_of_fold:
        masks = _of_one_fold(job, first, held_out)
    else:
        masks = held_out
        first_stage.require_every_mask(job.recipe, job.dataset, masks)
    unseen = {case for case, path in masks.items() if path == held_out.get(case)}
    return Guides(first, masks, guidance, unseen)


def folder_of(job: Job) -> Path:
    """Return the folder of the masks that one fold's network made for this job's fold."""
    return job.folder / "guides" / job.folder.fold.name


def _of_one_fold(job: Job, first: Path, held_out: Mapping[str, Path]) -> dict[str, Path]:
    """Let one fold's network predict what it was trained on, where that is not done."""
    from medseg.build.device import training_device
    from medseg.inference import checkpoint
    from medseg.inference.predictor import Predictor
    from medseg.stages.predict import predict_cases

    first_stage.require_fold(job.recipe)
    fold = job.folder.fold.name
    own = _held_out_by(first, job.recipe.data.fold)
    masks = {case: path for case, path in held_out.items() if case in own}
    target, (file, *_) = folder_of(job), checkpoint.find(first / fold)
    stage, inputs = f"guides {fold}", digest(files_state([file]))
    rest = [case for case in job.dataset.cases if case.id not in masks]
    if not job.folder.is_current(stage, inputs):
        # Gone before it is recorded: were this stopped halfway, old masks would pass for new ones.
        for mask in existing(target, rest).values():
            mask.unlink()
        job.folder.record(stage, inputs)
    done = existing(target, rest)
    missing = [case for case in rest if case.id not in done]
    if missing:
        job.report.stage(
            "cascade", f"{count(len(missing), 'case')} that the first stage was trained on"
        )
        device = training_device(job.recipe)
        where = "cpu" if device.type == "mps" else str(device)
        # As the first stage's own predictions are, and what it gives when both stages predict.
        predictor = Predictor.load(
            first / fold, device=where, trust=job.trust, postprocessing="none"
        )
        predict_cases(predictor, missing, target, report=job.report, overwrite=True)
    return {**masks, **existing(target, rest)}


def _held_out_by(first: Path, fold: int | str) -> set[str]:
    splits = recorded_splits(first)
    return set(splits[fold]["val"]) if isinstance(fold, int) and fold < len(splits) else set()

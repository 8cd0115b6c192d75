"""What a cascade's first stage has found in every case, for the second to learn from."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medseg import build
from medseg.data.case import Case, Dataset
from medseg.data.prepare.sources import file_digest
from medseg.errors import InputError
from medseg.labels import LabelScheme
from medseg.planning.guidance import Guidance
from medseg.stages import inspect
from medseg.stages.job import Job
from medseg.stages.masks import existing
from medseg.stages.run_folder import digest, files_state
from medseg.stages.splits import recorded_splits

_MOST_NAMES = 3


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
                found=_named(seen),
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
    _check(job, first)
    held_out = existing(first / "predictions", job.dataset.cases)
    if not job.recipe.cascade.out_of_fold:
        masks = _of_one_fold(job, first, held_out)
    else:
        masks = held_out
        _require_all(job, first, masks)
    unseen = {case for case, path in masks.items() if path == held_out.get(case)}
    return Guides(first, masks, guidance, unseen)


def _check(job: Job, first: Path) -> None:
    """Make sure that the first stage is of the same data, labels and channels."""
    if first.resolve() == job.folder.path.resolve():
        raise InputError(
            "a run cannot be its own first stage",
            file=job.recipe.at("cascade", "first"),
            found=f"cascade.first and run_dir are both {first}",
            remedy="name the folder of another run, or lowres or coarse, which are trained here",
        )
    found = inspect.read(first / "fingerprint.json")
    if found is None:
        raise InputError(
            "the first stage of this cascade is not trained",
            file=first,
            expected="a run folder with predictions of the cases that its folds held out",
            found=None if (first / "recipe.yaml").is_file() else "no run",
            remedy=_command(job, first),
        )
    dataset = job.dataset
    other = "a first stage of the same labels and channels, or another cascade.first"
    values = dict(LabelScheme.from_dict(found.labels).values)
    if values != dict(dataset.labels.values):
        raise InputError(
            "the first stage was trained for other labels",
            file=first,
            expected=str(dict(dataset.labels.values)),
            found=str(values),
            remedy=other,
        )
    if [c.casefold() for c in found.channels] != [c.casefold() for c in dataset.channels]:
        raise InputError(
            "the first stage was trained on other channels",
            file=first,
            expected=", ".join(dataset.channels),
            found=", ".join(found.channels),
            remedy=other,
        )
    strange = sorted({case.id for case in dataset.cases} - {case.id for case in found.cases})
    if strange:
        raise InputError(
            "the first stage was trained on another data set",
            file=first,
            expected=f"the {len(dataset.cases)} cases of {dataset.root}",
            found=f"it does not know {_named(strange)}",
            remedy="another cascade.first, or lowres or coarse, which are trained on these data",
        )


def _require_all(job: Job, first: Path, masks: Mapping[str, Path]) -> None:
    missing = [case.id for case in job.dataset.cases if case.id not in masks]
    if not missing:
        return
    splits = recorded_splits(first)
    folds = [i for i, split in enumerate(splits) if set(missing) & set(split["val"])]
    never = sorted(set(missing) - {case for split in splits for case in split["val"]})
    if splits and never:
        raise InputError(
            "no fold of the first stage holds out these cases",
            file=first / "splits.json",
            found=_named(never),
            remedy="cross-validate it (data.folds), or accept predictions of cases that it was "
            "trained on: cascade.out_of_fold=false",
        )
    raise InputError(
        "the first stage has not predicted every case that it held out",
        file=first / "predictions",
        expected=f"masks of all {len(job.dataset.cases)} cases, from every fold",
        found=f"none of {_named(missing)}"
        + (f"; missing: {', '.join(f'fold {i}' for i in folds)}" if folds else ""),
        remedy=_command(job, first, folds),
    )


def _of_one_fold(job: Job, first: Path, held_out: Mapping[str, Path]) -> dict[str, Path]:
    """Let one fold's network predict what it was trained on, where that is not done."""
    from medseg.build.device import training_device
    from medseg.inference import checkpoint
    from medseg.inference.predictor import Predictor
    from medseg.stages.predict import predict_cases

    fold = f"fold_{job.recipe.data.fold}"
    if not (first / fold).is_dir():
        raise InputError(
            "the first stage has not trained this fold",
            file=first / fold,
            remedy=_command(job, first),
        )
    own = _held_out_by(first, job.recipe.data.fold)
    masks = {case: path for case, path in held_out.items() if case in own}
    target, (file, *_) = job.folder / "guides" / fold, checkpoint.find(first / fold)
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
        job.report.stage("cascade", f"{len(missing)} cases that the first stage was trained on")
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


def _command(job: Job, first: Path, folds: Sequence[int] = ()) -> str:
    if build.trains_first(job.recipe):
        return "medseg run RECIPE, which trains the first stage as well"
    if not (first / "recipe.yaml").is_file():
        return "cascade.first=RUN, the folder of a trained run; or lowres or coarse, trained here"
    each = f"data.fold={folds[0]}" if len(folds) == 1 else "--each-fold"
    return f"medseg run {shlex.quote(str(first / 'recipe.yaml'))} {each}"


def _named(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _MOST_NAMES} more" if len(ids) > _MOST_NAMES else ""
    return ", ".join(ids[:_MOST_NAMES]) + more

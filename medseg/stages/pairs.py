"""Masks that two cross-validated runs make together, of cases that neither of them has seen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from medseg import build
from medseg.data.case import Dataset
from medseg.data.splits import Split
from medseg.errors import InputError
from medseg.inference import checkpoint
from medseg.inference.ensemble import Ensemble
from medseg.inference.stored_masks import StoredMasks
from medseg.recipe import load
from medseg.stages.commands import run_again
from medseg.stages.masks import existing
from medseg.stages.names import some
from medseg.stages.predict import predict_cases
from medseg.stages.reporter import Reporter


@dataclass(frozen=True)
class Pairing:
    """Runs that were found to go together, two by two.

    Attributes:
        dataset: whose cases they hold out.
        splits: of all of them.
        guides: run -> image file -> what the run's first stage says of it; of cascades alone.
        device: where they predict.
        trust: packages whose code may run.
    """

    dataset: Dataset
    splits: Sequence[Split]
    guides: Mapping[Path, Mapping[Path, Path]]
    device: str = "auto"
    trust: tuple[str, ...] = ()

    def predict(self, runs: Sequence[Path], folder: Path, *, report: Reporter) -> None:
        """Write the mask of every held-out case, of each fold by its own networks."""
        for fold, split in enumerate(self.splits):
            both = self.load(runs, fold, device=self.device)
            held_out = [case for case in self.dataset.cases if case.id in split["val"]]
            predict_cases(both, held_out, folder, report=report, overwrite=True)

    def load(self, runs: Sequence[Path], fold: int, *, device: str) -> Ensemble:
        """Load the networks of one fold; each cascade goes on from its own first stage's masks."""
        both = Ensemble.load(
            [path / f"fold_{fold}" for path in runs],
            device=device,
            trust=self.trust,
            postprocessing="none",
        )
        for path, member in zip(runs, both.members, strict=True):
            if path in self.guides:
                member.first_stage = StoredMasks(
                    self.guides[path], labels=member.labels, frame=member.frame
                )
        return both


def pairing(
    runs: Sequence[Path],
    dataset: Dataset,
    splits: Sequence[Split],
    *,
    device: str = "auto",
    trust: tuple[str, ...] = (),
) -> Pairing:
    """Make sure that any two of some runs can segment together, before the first two do for hours.

    Raises:
        InputError: two take other images or give other labels, a fold has no checkpoint, or masks
            are gone from which a cascade goes on.
    """
    guides = {path: found for path in runs if (found := _guides(path, dataset, trust)) is not None}
    paired = Pairing(dataset, splits, guides, device, trust)
    for path, fold in product(runs, range(len(splits))):
        checkpoint.find(path / f"fold_{fold}")
    for other in runs[1:]:  # what is alike to the first is alike to each other
        paired.load((runs[0], other), 0, device="cpu")
    return paired


def _guides(path: Path, dataset: Dataset, trust: tuple[str, ...]) -> dict[Path, Path] | None:
    """Find what a cascade's first stage has found in each case while it had not seen it."""
    recipe = load(str(path / "recipe.yaml"), [f"run_dir={json.dumps(str(path))}"], trust=trust)
    if recipe.cascade.first is None:
        return None
    first = build.first_folder(recipe)
    masks = existing(first / "predictions", dataset.cases)
    lost = [case.id for case in dataset.cases if case.id not in masks]
    if lost:
        # Made anew, they would come from all folds, of which most have seen the case.
        raise InputError(
            "predictions of held-out cases are gone, from which a cascade goes on",
            file=first / "predictions",
            found=f"no mask of {some(lost)}",
            remedy=run_again(first, "--each-fold"),
        )
    return {case.images[0]: masks[case.id] for case in dataset.cases}

"""What a recipe can say about each logger; the signatures are the recipe's reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CsvOptions:
    """Rows of ``progress.csv``; there is nothing to choose."""


@dataclass(frozen=True, kw_only=True)
class TensorBoardOptions:
    """Events below ``tensorboard/``.

    Attributes:
        log_images: show overlays of validation cases.
        images: how many validation cases to show, always the same ones.
        hash_cases: show pseudonyms in place of case ids.
    """

    log_images: bool = True
    images: int = 4
    hash_cases: bool = False


@dataclass(frozen=True, kw_only=True)
class WandbOptions:
    """A Weights & Biases run.

    Attributes:
        project: default: ``WANDB_PROJECT``, else ``medseg``.
        entity: user or team; default: ``WANDB_ENTITY``, else the account's own.
        group: bundles runs, such as the folds of one experiment.
        tags: words to find the run by.
        notes: free text.
        offline: keep the run on this machine until ``wandb sync`` sends it.
        log_images: show overlays of validation cases.
        images: how many validation cases to show, always the same ones.
        hash_cases: send pseudonyms in place of case ids, in captions and in metrics.json.
        log_checkpoint: keep the best checkpoint as an artifact.
    """

    project: str | None = None
    entity: str | None = None
    group: str | None = None
    tags: Sequence[str] = ()
    notes: str | None = None
    offline: bool = False
    log_images: bool = True
    images: int = 4
    hash_cases: bool = False
    log_checkpoint: bool = True


OPTIONS: dict[str, type] = {
    "csv": CsvOptions,
    "tensorboard": TensorBoardOptions,
    "wandb": WandbOptions,
}

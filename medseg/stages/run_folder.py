"""The folder of a run: which recipe it holds, where its artefacts lie, which are current."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from medseg.atomic import is_temporary, locked, sweep, write_text
from medseg.build.cascade import FIRST
from medseg.build.written import is_written
from medseg.errors import InputError
from medseg.recipe import Recipe
from medseg.stages import plan_file
from medseg.stages.replaced import Replaced, artefacts

# Keys that two recipes of one run may differ in: they change where and how the work is done, not
# what comes out. Folds live side by side in one run.
_FREE = ("run_dir", "logger", "data.fold", "data.workers", "data.cache", "trainer.devices")
# No training depends on these sections and keys; prediction and scores follow them.
_AFTERWARDS = ("inference", "evaluation", "detection.hit")
# What a person or hours of computing went into, besides edits of the plan.
_DEAR = (
    "fold_*/checkpoints/*.ckpt",
    "fold_*/validations.json",
    "predictions",
    "postprocessed",
    "postprocessing.yaml",
    "detection.yaml",
    "metrics.json",
)
# Workers of a training that was killed hold its lock for some seconds more.
_PATIENCE = 10.0


class RunFolder:
    """A run's folder, opened for one recipe.

    Args:
        recipe: the recipe that the run holds or shall hold.
        overwrite: start over if the folder holds another recipe's run. A run of the same recipe is
            left as it is: the stage that overwrites replaces its own results only. A run in which
            nothing was trained, and whose plan nobody edited, makes room in any case.

    Raises:
        InputError: the folder holds another recipe, or something that is no run.
    """

    def __init__(self, recipe: Recipe, *, overwrite: bool = False) -> None:
        self.recipe, self.path = recipe, Path(recipe.run_dir)
        self.overwrite, self._different = overwrite, list[str]()
        self.replaced = Replaced(self.path)
        stored = self.path / "recipe.yaml"
        if stored.is_file():
            text = _read(stored)
            if not text.startswith("# Resolved recipe"):
                raise InputError(
                    "the run folder holds a recipe.yaml that no run wrote",
                    file=stored,
                    expected="a new folder, or one that medseg made",
                    remedy="choose another with run_dir=FOLDER",
                )
            different = _of_training(self._differences(text))
            self._different = different
            self._make_sure_it_may_go()
        elif self.path.is_file() or (
            self.path.is_dir() and not all(map(_expected, self.path.iterdir()))
        ):
            raise InputError(
                "the run folder is not empty and holds no run",
                file=self.path,
                expected="a new folder, or one that medseg made",
                remedy="choose another with run_dir=FOLDER",
            )

    @property
    def other(self) -> bool:
        """Whether the folder holds a run of another recipe, which is to be overwritten."""
        return bool(self._different)

    def begin(self) -> None:
        """Set a run of another recipe aside, and write ``recipe.yaml`` where it is not up to date.

        Apart from opening, so that nothing changes when the data turn out not to be there.

        Raises:
            InputError: another process is training a fold of the run that is to be set aside, or
                has begun another recipe here since this folder was opened.
        """
        if self._different:
            with self.training(*self._folds()):
                self._make_room()
        for folder in (self.path, *self.path.glob("fold_*"), *self.path.glob("fold_*/checkpoints")):
            sweep(folder)
        with locked(self.path):
            self._write_recipe(self / "recipe.yaml")
        self._different = []

    def _make_room(self) -> None:
        if self.overwrite:
            self.replaced.take(artefacts(self.path))
            return
        self._make_sure_it_may_go()  # a training may have ended since this folder was opened
        # Folds follow from the data alone, and a person may have dealt them by hand.
        same_data = not any(key.startswith("data.") for key in self._different)
        kept = ("splits.json",) if same_data else ()
        self.replaced.take(path for path in artefacts(self.path) if path.name not in kept)
        self.replaced.settle(failed=False)

    def _make_sure_it_may_go(self) -> None:
        if self._different and not self.overwrite and self._is_dear():
            raise InputError(
                "the run folder holds a run of another recipe",
                file=self.path,
                found=f"these keys differ: {', '.join(self._different)}",
                remedy="use another folder with run_dir=FOLDER, or start over with --overwrite",
            )

    def _folds(self) -> list[str]:
        """List the folds that are there, and those that a process may be preparing to train."""
        locks = (path.name[1:].removesuffix(".lock") for path in self.path.glob(".fold_*.lock"))
        return sorted({*(path.name for path in self.path.glob("fold_*")), *locks})

    def _write_recipe(self, stored: Path) -> None:
        if not stored.is_file():
            write_text(stored, self.recipe.to_yaml())
            return
        text = _read(stored)
        found = self._differences(text)
        if different := _of_training(found):
            raise InputError(
                "another process has begun a run of another recipe here",
                file=self.path,
                found=f"these keys differ: {', '.join(different)}",
                remedy="use another folder with run_dir=FOLDER",
            )
        if found:
            notes = [f"{line}\n" for line in text.splitlines() if line.startswith("# fold_")]
            write_text(stored, self.recipe.to_yaml() + "".join(notes))

    def _differences(self, text: str) -> list[str]:
        return [key for key in self.recipe.differences(text) if key not in _FREE]

    def _is_dear(self) -> bool:
        """Say whether the folder holds what no stage would simply make again."""
        made = any(True for name in _DEAR for _ in self.path.glob(name))
        return made or _is_edited(self / "plan.yaml")

    @contextmanager
    def training(self, *folds: str) -> Iterator[None]:
        """Keep other processes from training some folds.

        Raises:
            InputError: one is being trained.
        """
        with ExitStack() as held:
            for fold in folds:
                try:
                    held.enter_context(locked(self.path, f".{fold}.lock", patience=_PATIENCE))
                except TimeoutError as error:
                    raise InputError(
                        "another process is training this fold",
                        file=self / fold,
                        remedy="wait for it to end, or use another run_dir",
                    ) from error
            yield

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def fold(self) -> Path:
        """Folder of the fold that the recipe trains."""
        return self.path / f"fold_{self.recipe.data.fold}"

    @property
    def cache(self) -> Path:
        """Folder of the preprocessed cases."""
        return self.path / "cache"

    def is_current(self, stage: str, inputs: str) -> bool:
        """Say whether ``stage`` last ran on these inputs."""
        return self._ledger().get(stage) == inputs

    def record(self, stage: str, inputs: str) -> None:
        """Remember the inputs that ``stage`` ran on; folds may be trained side by side."""
        with locked(self.path):
            ledger = {**self._ledger(), stage: inputs}
            write_text(self / "stages.json", json.dumps(ledger, indent=1))

    def _ledger(self) -> dict[str, str]:
        try:
            ledger = json.loads((self / "stages.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return ledger if isinstance(ledger, dict) else {}


def _is_edited(plan: Path) -> bool:
    try:
        return bool(plan_file.read(plan).edits)
    except InputError:  # no stage writes such a file
        return True


def _expected(path: Path) -> bool:
    """Tell what may lie in the folder of a run that has not begun."""
    return is_temporary(path) or (path.name == FIRST and path.is_dir()) or is_written(path)


def _of_training(keys: Iterable[str]) -> list[str]:
    return [
        key for key in keys if key.partition(".")[0] not in _AFTERWARDS and key not in _AFTERWARDS
    ]


def digest(*parts: Any) -> str:
    """Hash plain containers and files (by size and time of change) to a short text."""
    return hashlib.blake2b(
        json.dumps(parts, sort_keys=True, default=_state).encode(), digest_size=12
    ).hexdigest()


def files_state(files: Sequence[Path]) -> list[list[Any]]:
    """Give path, size and time of change of files; a missing one counts as such."""
    return [_state(file) for file in files]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(
            "the file cannot be read as text",
            file=path,
            found=str(error),
            remedy="choose another folder with run_dir=FOLDER, or delete this file",
        ) from error


def _state(path: Any) -> list[Any]:
    try:
        stat = os.stat(path)  # noqa: PTH116  ten thousand Paths take longer than the calls
    except OSError:
        return [str(path), None, None]
    return [str(path), stat.st_size, stat.st_mtime_ns]

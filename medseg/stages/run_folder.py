"""The folder of a run: which recipe it holds, where its artefacts lie, which are current."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medseg.atomic import write_text
from medseg.errors import InputError
from medseg.recipe import Recipe

# Keys that two recipes of one run may differ in: they change where and how the work is done, not
# what comes out. Folds live side by side in one run.
_FREE = ("run_dir", "logger", "data.fold", "data.workers", "data.cache", "trainer.devices")
_ARTEFACTS = (
    "recipe.yaml",
    "fingerprint.json",
    "plan.yaml",
    "device.yaml",
    "stages.json",
    "metrics.json",
    "predictions",
)


class RunFolder:
    """A run's folder, opened for one recipe.

    Args:
        recipe: the recipe that the run holds or shall hold.
        overwrite: start over if the folder holds another recipe's run. A run of the same recipe is
            left as it is: the stage that overwrites replaces its own results only.

    Raises:
        InputError: the folder holds another recipe, or something that is no run.
    """

    def __init__(self, recipe: Recipe, *, overwrite: bool = False) -> None:
        self.recipe, self.path = recipe, Path(recipe.run_dir)
        self._stale = False
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
            different = [key for key in recipe.differences(text) if key not in _FREE]
            if different and self._begun() and not overwrite:
                raise InputError(
                    "the run folder holds a run of another recipe",
                    file=self.path,
                    found=f"these keys differ: {', '.join(different)}",
                    remedy="use another folder with run_dir=FOLDER, or start over with --overwrite",
                )
            self._stale = bool(different)
        elif self.path.is_file() or (self.path.is_dir() and any(self.path.iterdir())):
            raise InputError(
                "the run folder is not empty and holds no run",
                file=self.path,
                expected="a new folder, or one that medseg made",
                remedy="choose another with run_dir=FOLDER",
            )

    def begin(self) -> None:
        """Clear a run of another recipe away, and write ``recipe.yaml``.

        Apart from opening, so that nothing is lost when the data turn out not to be there.
        """
        if self._stale:
            self.clear()
            self._stale = False
        if not (self / "recipe.yaml").is_file():
            write_text(self / "recipe.yaml", self.recipe.to_yaml())

    def _begun(self) -> bool:
        """Say whether any stage has left something; a run that failed at its first step has not."""
        return any((self.path / name).exists() for name in _ARTEFACTS[1:]) or any(
            self.path.glob("fold_*")
        )

    def clear(self) -> None:
        """Remove the artefacts; the cache stays, since its keys say what is in it."""
        for name in (*_ARTEFACTS, "splits.json"):
            _remove(self.path / name)
        for fold in self.path.glob("fold_*"):
            _remove(fold)

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
        """Remember the inputs that ``stage`` ran on."""
        write_text(self / "stages.json", json.dumps({**self._ledger(), stage: inputs}, indent=1))

    def _ledger(self) -> dict[str, str]:
        try:
            ledger = json.loads((self / "stages.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return ledger if isinstance(ledger, dict) else {}


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


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

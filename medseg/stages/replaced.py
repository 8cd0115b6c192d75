"""What a run is about to replace: set aside, and put back if nothing comes of the new."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from medseg.atomic import cannot_write, locked

_ARTEFACTS = (
    "fingerprint.json",
    "plan.yaml",
    "device.yaml",
    "inherited.json",
    "crops.json",
    "stages.json",
    "metrics.json",
    "froc.png",
    "splits.json",
    "predictions",
    "postprocessed",
    "postprocessing.yaml",
    "detection.yaml",
    "overlays",
)
_NAME, _GONE = ".replaced-", ".gone"


def artefacts(run: Path) -> list[Path]:
    """List what stages left in a run folder, ``recipe.yaml`` last; not the cache.

    The cache may be shared by all recipes: its keys say what is in it.
    """
    named = [*(run / name for name in _ARTEFACTS), run / "recipe.yaml"]
    return [*sorted(run.glob("fold_*")), *(path for path in named if path.exists())]


class Replaced:
    """Artefacts of a run, aside until new ones stand in their place.

    Where a process is killed they stay aside, and `recover` decides. They are whole, that is of a
    whole run, if ``recipe.yaml`` is among them: it is the last to go and the first to come back.

    Args:
        run: the run's folder.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self._place: Path | None = None
        self._held = ExitStack()

    def take(self, paths: Iterable[Path]) -> None:
        """Set some aside, where they are there.

        Raises:
            InputError: the folder cannot be written.
        """
        try:
            for path in paths:
                if path.exists():
                    aside = self._open() / path.relative_to(self.run)
                    aside.parent.mkdir(parents=True, exist_ok=True)
                    path.rename(aside)
        except OSError as error:
            raise cannot_write(self.run, error) from error

    def settle(self, *, failed: bool) -> bool:
        """Drop what was set aside; put it back, and say so, if the new failed before it stood."""
        if self._place is None:
            return False
        place, self._place = self._place, None
        back = failed and not _stands(place, self.run)
        if back:
            _put_back(place, self.run)
        self._held.close()
        _drop(place)
        return back

    def _open(self) -> Path:
        if self._place is None:
            self._place = self.run / f"{_NAME}{secrets.token_hex(4)}"
            self._held.enter_context(locked(self._place))
        return self._place


def recover(run: Path) -> None:
    """Settle what processes set aside in a run before they were killed."""
    for place in run.glob(f"{_NAME}*"):
        if place.name.endswith(_GONE):
            shutil.rmtree(place, ignore_errors=True)
            continue
        try:
            with locked(place, patience=0):
                if not _stands(place, run):
                    _put_back(place, run)
        except TimeoutError:  # whose it is, is at work
            continue
        _drop(place)


def _stands(place: Path, run: Path) -> bool:
    """Say whether a training that can go on has taken the place of what is aside."""
    whole = (place / "recipe.yaml").exists()
    folds = (run if whole else place).glob("fold_*")
    return any((run / fold.name / "checkpoints" / "last.ckpt").is_file() for fold in folds)


def _put_back(place: Path, run: Path) -> None:
    if (place / "recipe.yaml").exists():
        for new in artefacts(run):
            _remove(new)
        (place / "recipe.yaml").replace(run / "recipe.yaml")
    for aside in [path for path in place.iterdir() if path.name != ".lock"]:
        target = run / aside.name
        if aside.name == "predictions" and target.is_dir():
            for mask in aside.iterdir():
                mask.replace(target / mask.name)
        else:
            _remove(target)
            aside.rename(target)


def _drop(place: Path) -> None:
    # Renamed at once: half of it must never be put back.
    gone = place.rename(place.with_name(place.name + _GONE))
    shutil.rmtree(gone, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

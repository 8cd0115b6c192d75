"""The folder of a sweep: what is swept, its trials' run folders, and the best of them."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from medseg.atomic import is_temporary, write_text
from medseg.errors import InputError
from medseg.recipe import Recipe
from medseg.recipe.space import Dimension
from medseg.score_names import SCORE_NAMES, SCORE_TITLES, key_of

_OURS = ("sweep.json", "study.db", "trials.json", "best.yaml", "logs")


@dataclass(frozen=True)
class Subject:
    """What a sweep is of: all that its trials have in common.

    Attributes:
        recipe: as the user named it.
        text: the recipe, resolved, with what every trial overrides.
        space: which keys are tried, with which values.
        each: overrides that limit each trial, such as ``trainer.budget=600.0``.
    """

    recipe: str
    text: str
    space: tuple[Dimension, ...]
    each: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain containers."""
        return {
            "schema": 1,
            "recipe": self.recipe,
            "each": list(self.each),
            "space": [
                {k: v for k, v in asdict(one).items() if v is not None} for one in self.space
            ],
            "text": self.text,
        }


class SweepFolder:
    """A sweep's folder, opened for one subject.

    Args:
        path: the folder.
        subject: what is swept.
        recipe: read with what every trial overrides.
        overwrite: throw away another sweep, and this one's trials.

    Raises:
        InputError: it holds another sweep, or something that is none.
    """

    def __init__(
        self, path: Path, subject: Subject, recipe: Recipe, *, overwrite: bool = False
    ) -> None:
        self.path, self.subject = path, subject
        self.score_name = SCORE_NAMES[recipe.task]
        self.score_key, self.score_title = key_of(self.score_name), SCORE_TITLES[self.score_name]
        record = path / "sweep.json"
        if not record.is_file():
            if path.is_file() or (path.is_dir() and not all(map(is_temporary, path.iterdir()))):
                raise InputError(
                    "the sweep's folder is not empty and holds no sweep",
                    file=path,
                    expected="a new folder, or one that medseg sweep made",
                    remedy="choose another with -o FOLDER",
                )
        elif overwrite:
            self._clear()
        else:
            self._compare(record, recipe)

    def begin(self) -> None:
        """Write down what is swept."""
        write_text(self.path / "sweep.json", json.dumps(self.subject.to_dict(), indent=1) + "\n")

    @property
    def storage(self) -> str:
        """Where Optuna keeps the trials, as it writes that."""
        return f"sqlite:///{(self.path / 'study.db').absolute()}"

    @property
    def cache(self) -> Path:
        """Preprocessed cases that all trials share."""
        return self.path / "cache"

    @property
    def data(self) -> Path:
        """Where phantoms and frames of videos are written, once for all trials."""
        return self.path / "data"

    def shared(self) -> dict[str, Path]:
        """Return the folders that all trials share, by their names in a run's folder.

        They are the cache, which is made where it is missing, and what lies in ``data``.
        """
        self.cache.mkdir(parents=True, exist_ok=True)
        written = self.data.iterdir() if self.data.is_dir() else ()
        return {
            "cache": self.cache,
            **{path.name: path for path in written if path.is_dir() and not is_temporary(path)},
        }

    def trial(self, number: int) -> Path:
        """Return the run folder of a trial."""
        return self.path / f"trial_{number:03d}"

    def log(self, number: int) -> Path:
        """Return the file of what a trial says."""
        return self.path / "logs" / f"trial_{number:03d}.log"

    def scores(self, number: int) -> list[float]:
        """Return the mean score of each validation of a trial so far."""
        for file in self.trial(number).glob("fold_*/validations.json"):
            try:
                entries = json.loads(file.read_text(encoding="utf-8"))
                found = [float(entry[self.score_name]) for entry in entries]
            except (OSError, ValueError, TypeError, KeyError):
                return []
            return [0.0 if score != score else score for score in found]
        return []

    def write_trials(self, trials: Sequence[Mapping[str, Any]]) -> None:
        """Write the table of all trials."""
        write_text(self.path / "trials.json", json.dumps(list(trials), indent=1) + "\n")

    def write_best(
        self, values: Mapping[str, Any], recipe: Recipe, overrides: Sequence[str], *, why: str
    ) -> Path:
        """Write the best values as a recipe on top of the one that was swept.

        Args:
            values: by dotted key.
            recipe: read with them.
            overrides: what the user set beside the recipe, by ``key=value``.
            why: one line about them.
        """
        keys = [*dict.fromkeys([word.partition("=")[0] for word in overrides] + list(values))]
        source = Path(self.subject.recipe)
        parent = str(source.absolute()) if source.is_file() else self.subject.recipe
        tree: dict[str, Any] = {"extends": parent}
        resolved = recipe.to_dict()
        for key in keys:
            if key != "run_dir":
                _put(tree, key.split("."), values.get(key), key in values, resolved)
        file = self.path / "best.yaml"
        text = StringIO()
        YAML(typ="safe", pure=True).dump(tree, text)
        write_text(file, f"# {why}\n# medseg run {shlex.quote(str(file))}\n{text.getvalue()}")
        return file

    def _begun(self) -> bool:
        """Say whether there is a trial; a sweep that failed at its first step binds nobody."""
        return (self.path / "study.db").exists() or any(self.path.glob("trial_*"))

    def _compare(self, record: Path, recipe: Recipe) -> None:
        try:
            before = json.loads(record.read_text(encoding="utf-8"))
            differ = [key for key in ("space", "each") if before[key] != _plain(self.subject)[key]]
            differ += recipe.differences(before["text"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(
                "the record of this sweep cannot be read",
                file=record,
                found=str(error),
                remedy="choose another folder with -o, or start over with --overwrite",
            ) from error
        if differ and self._begun():
            raise InputError(
                "the folder holds another sweep, whose trials cannot be compared with these",
                file=record,
                found=f"these differ: {', '.join(differ)}",
                remedy="choose another folder with -o, or start over with --overwrite",
            )

    def _clear(self) -> None:
        for path in [*(self.path / name for name in _OURS), *self.path.glob("trial_*")]:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _plain(subject: Subject) -> dict[str, Any]:
    return json.loads(json.dumps(subject.to_dict()))


def _put(
    tree: dict[str, Any], path: list[str], value: Any, given: bool, resolved: Mapping[str, Any]
) -> None:
    """Put a value at its place; of a list, whose items have no keys in a file, all of it."""
    whole = next((i for i, part in enumerate(path) if part.isdecimal()), len(path))
    if not given or whole < len(path):
        path = path[:whole]
        value = resolved
        for part in path:
            value = value[part]
    for part in path[:-1]:
        inner = tree.setdefault(part, {})
        if not isinstance(inner, dict):
            inner = tree[part] = {"name": inner}
        tree = inner
    tree[path[-1]] = value

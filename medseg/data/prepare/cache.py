"""Preprocessed cases on disk, keyed by everything that decides their contents.

An entry is a folder named ``<case>-<key>``; the key is a hash of the bytes of the case's files,
the preprocessing part of the plan, the label scheme and value map, and `SCHEMA`. Change a patch
size and every entry is found again; change a spacing and none is. An entry is built in a temporary
folder and renamed, so that at any moment it is whole or absent, however many processes share the
cache and whenever they are killed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medseg.atomic import cannot_write, flush
from medseg.data.case import Case, Dataset
from medseg.data.prepare import entry as entries
from medseg.data.prepare.entry import CachedCase, load
from medseg.data.prepare.pool import Progress, map_cases
from medseg.data.prepare.preprocess import preprocess
from medseg.data.prepare.reading import read_image, read_label
from medseg.data.prepare.sources import Sources
from medseg.errors import InputError
from medseg.labels import LabelScheme
from medseg.planning.plan import PreprocessingPlan

# Raise it when preprocessing comes to give other numbers for the same plan.
SCHEMA = 1

_TEMPORARY = ".tmp-"
_STALE_SECONDS = 3600.0

__all__ = ["SCHEMA", "Cache", "CacheIndex", "CachedCase", "load", "prepare_dataset"]


@dataclass(frozen=True)
class CacheIndex:
    """Where each case of a data set lies.

    Attributes:
        root: the cache.
        entries: case id -> folder, in the order of the data set.
        built: ids of the cases that were not there before.
    """

    root: Path
    entries: Mapping[str, Path]
    built: tuple[str, ...] = ()

    def load(self, case_id: str, *, mmap: bool = True) -> CachedCase:
        """Open one case."""
        return load(self.entries[case_id], mmap=mmap)

    def load_all(
        self, case_ids: Sequence[str] | None = None, *, mmap: bool = True
    ) -> list[CachedCase]:
        """Open several cases, or all."""
        return [self.load(case_id, mmap=mmap) for case_id in case_ids or self.entries]


class Cache:
    """A folder of entries.

    Args:
        root: made when the first entry is written.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def path(self, case_id: str, key: str) -> Path:
        """Name an entry's folder."""
        safe = re.sub(r"[^A-Za-z0-9._-]+", "_", case_id)[:80].lstrip(".") or "case"
        return self.root / f"{safe}-{key[:24]}"

    @contextmanager
    def writing(self, final: Path) -> Iterator[Path]:
        """Give an empty folder that becomes the entry ``final`` when the block ends well.

        Raises:
            InputError: the disk is full or read-only; nothing is left behind.
        """
        name = f"{_TEMPORARY}{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        temporary = self.root / name
        try:
            temporary.mkdir(parents=True)
            yield temporary
            flush(temporary)
            self._publish(temporary, final)
        except OSError as error:
            raise cannot_write(final, error) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _publish(self, temporary: Path, final: Path) -> None:
        for _ in range(10):
            try:
                temporary.rename(final)
                flush(self.root)
                return
            except OSError:
                if not final.is_dir():
                    raise
            if entries.verify(final):  # another process was faster
                return
            # Memory maps of the old files stay readable: their inodes live until they are closed.
            aside = temporary.with_name(f"{temporary.name}.old")
            with suppress(FileNotFoundError):
                final.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        raise OSError(f"{final} keeps coming back damaged")

    def sweep(self) -> None:
        """Remove what killed processes left: of processes that ended, or an hour old."""
        for left in self.root.glob(f"{_TEMPORARY}*"):
            with suppress(OSError):
                age = time.time() - left.stat().st_mtime
                if age > _STALE_SECONDS or _owner_ended(left.name):
                    shutil.rmtree(left, ignore_errors=True)


def prepare_dataset(
    dataset: Dataset,
    plan: PreprocessingPlan,
    cache_dir: Path | str,
    *,
    workers: int = 0,
    progress: Progress | None = None,
    verify: bool = False,
) -> CacheIndex:
    """Preprocess the labelled cases that the cache does not hold yet.

    Args:
        dataset: its ``cases``, not its ``unlabelled`` ones.
        plan: only the preprocessing part.
        cache_dir: shared freely between runs and processes.
        workers: processes; 0 works in this one.
        progress: called with (cases done, cases in all) of those that must be built.
        verify: read the entries that are there and compare checksums, not only sizes.

    Raises:
        InputError: a case cannot be read or does not fit, or the disk is full; `InputErrors` names
            all the cases that fail. Those that do not are in the cache.
    """
    cache = Cache(cache_dir)
    cache.sweep()
    whole = entries.verify if verify else entries.intact
    sources = Sources(cache.root / "sources.json")
    found: dict[str, Path] = {}
    missing: dict[str, tuple[Case, Path, str]] = {}
    settings = _settings(dataset, plan)
    for case in dataset.cases:
        key = _key(case, settings, sources)
        path = found[case.id] = cache.path(case.id, key)
        if not whole(path):
            missing[case.id] = (case, path, key)
    sources.save()
    how = (plan, dataset.labels, dict(dataset.value_map), len(dataset.channels))
    jobs = [(case.id, (cache, case, path, key, *how)) for case, path, key in missing.values()]
    map_cases(_build, jobs, workers=workers, progress=progress)
    return CacheIndex(cache.root, found, tuple(missing))


def _build(
    cache: Cache,
    case: Case,
    path: Path,
    key: str,
    plan: PreprocessingPlan,
    labels: LabelScheme,
    value_map: Mapping[int, int],
    channels: int,
) -> None:
    if case.label is None:
        raise InputError("the case has no label", file=case.images[0])
    volume = read_image(case, channels=channels)
    label = read_label(case.label, labels, value_map=value_map, like=volume)
    prepared = preprocess(volume, plan, label)
    del volume, label
    with cache.writing(path) as folder:
        entries.write(folder, case.id, prepared, {"key": key, "schema": SCHEMA})


def _settings(dataset: Dataset, plan: PreprocessingPlan) -> str:
    state: dict[str, Any] = {
        "schema": SCHEMA,
        "plan": asdict(plan),
        "labels": dataset.labels.to_dict(),
        "value_map": sorted((int(k), int(v)) for k, v in dataset.value_map.items()),
        "channels": len(dataset.channels),
    }
    return json.dumps(state, sort_keys=True)


def _key(case: Case, settings: str, sources: Sources) -> str:
    files = (*case.images, *([case.label] if case.label else []))
    parts = [case.id, settings, *(sources.digest(file) for file in files)]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def _owner_ended(name: str) -> bool:
    host, _, rest = name.removeprefix(_TEMPORARY).rpartition("-")[0].rpartition("-")
    if host != socket.gethostname() or not rest.isdigit():
        return False
    try:
        os.kill(int(rest), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False

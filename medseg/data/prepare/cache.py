"""Preprocessed cases on disk, keyed by everything that decides their contents.

An entry is a folder named ``<case>-<key>``; the key is a hash of the bytes of the case's files,
the preprocessing part of the plan, the label scheme and value map, and `making.SCHEMA`. Change a
patch size and every entry is found again; change a spacing and none is. An entry is built in a
temporary folder and renamed, so that at any moment it is whole or absent, however many processes
share the cache and whenever they are killed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from medseg.data.case import Case, Dataset
from medseg.data.prepare import making
from medseg.data.prepare.entry import CachedCase, load, verified_row
from medseg.data.prepare.index import CacheIndex, Ledger
from medseg.data.prepare.lazy import LazyCase, Verified
from medseg.data.prepare.making import Maker, Repair, key_of
from medseg.data.prepare.pool import Progress, map_cases
from medseg.data.prepare.row import Row
from medseg.data.prepare.sources import Sources, Stamp
from medseg.data.prepare.space import DiskFull, gigabytes
from medseg.data.prepare.store import Cache
from medseg.errors import InputError
from medseg.planning.guidance import Guidance
from medseg.planning.plan import PreprocessingPlan

_MOST_NAMES = 3

__all__ = ["Cache", "CacheIndex", "CachedCase", "LazyCase", "load", "prepare_dataset"]


def prepare_dataset(
    dataset: Dataset,
    plan: PreprocessingPlan,
    cache_dir: Path | str,
    *,
    workers: int = 0,
    progress: Progress | None = None,
    verify: bool = False,
    say: Callable[[str], None] | None = None,
    before: Callable[[Sequence[str]], None] | None = None,
    guidance: Guidance | None = None,
) -> CacheIndex:
    """Preprocess the labelled cases that the cache does not hold yet.

    Entries that were touched since they were made are compared with their checksums, and made anew
    if they are not what was written; those of an older `making.SCHEMA` are removed.

    Args:
        dataset: its ``cases``, not its ``unlabelled`` ones.
        plan: only the preprocessing part.
        cache_dir: shared freely between runs and processes.
        workers: processes; 0 works in this one.
        progress: called with (cases done, cases in all) of those that must be built.
        verify: read all entries that are there and compare checksums.
        say: told what is made anew, and why.
        before: called with the ids of the cases to build, before they are.
        guidance: what becomes of the cases' guides; ``None``: they are not looked at.

    Raises:
        InputError: a case cannot be read or does not fit; `InputErrors` names all the cases that
            fail. Those that do not are in the cache.
        DiskFull: the disk is full; what is done is kept.
    """
    cache = Cache(cache_dir)
    cache.sweep()
    ledger, sources = Ledger(cache.root, making.SCHEMA), Sources(cache.root / "sources.json")
    value_map, channels = dict(dataset.value_map), len(dataset.channels)
    maker = Maker(cache, plan, dataset.labels, value_map, channels, guidance, dataset.objects)
    settings = maker.settings()
    names: dict[str, str] = {}
    rows: dict[str, Row] = {}
    jobs: dict[str, tuple[Case, str, tuple[Stamp, ...]]] = {}
    for case in dataset.cases:
        key, stamps = key_of(case, settings, sources)
        name = names[case.id] = cache.name(case.id, key)
        row = None if verify else ledger.current(name)
        if row is None:
            jobs[case.id] = (case, key, stamps)
        else:
            rows[case.id] = row
    sources.save()
    _compare(cache, ledger, names, jobs, rows, workers=workers, say=say or _silent)
    _remove_outdated(cache, ledger, say or _silent)
    built = tuple(jobs)
    if built and ledger.newer and say is not None:
        say(f"{ledger.newer} cases of a newer version of medseg stay in the cache, unused here")
    if built and before is not None:
        before(built)

    def keep(position: int, row: Row) -> None:
        case_id = built[position]
        rows[case_id] = row
        ledger.add(names[case_id], row)

    try:
        map_cases(
            maker.build,
            list(jobs.items()),
            workers=workers,
            progress=progress,
            keep=keep,
            fatal=(DiskFull,),
        )
    except DiskFull as error:
        raise _how_much(error, rows, left=len(jobs) - sum(i in rows for i in built)) from error
    finally:
        with suppress(InputError):  # a full disk; the ledger is a convenience
            ledger.save()
    return CacheIndex(
        cache.root,
        {case.id: cache.root / names[case.id] for case in dataset.cases},
        {case.id: rows[case.id] for case in dataset.cases},
        built,
        Repair(maker, {case.id: case for case in dataset.cases}, names, sources),
        Verified(len(names)),
    )


def _compare(
    cache: Cache,
    ledger: Ledger,
    names: Mapping[str, str],
    jobs: dict[str, tuple],
    rows: dict[str, Row],
    *,
    workers: int,
    say: Callable[[str], None],
) -> None:
    """Take the entries that turn out to be whole out of the jobs, and remove the others."""
    there = [case for case in jobs if (cache.root / names[case]).is_dir()]
    looks = [(case, (cache.root / names[case],)) for case in there]
    damaged = []
    for case, row in zip(there, map_cases(verified_row, looks, workers=workers), strict=True):
        if row is None:
            damaged.append(case)
            cache.remove(names[case])
            continue
        rows[case] = row
        ledger.add(names[case], row)
        del jobs[case]
    if damaged:
        more = f" and {len(damaged) - _MOST_NAMES} more" if len(damaged) > _MOST_NAMES else ""
        say(
            f"the cached files of {', '.join(damaged[:_MOST_NAMES])}{more} are damaged; "
            "made anew from their source"
        )


def _remove_outdated(cache: Cache, ledger: Ledger, say: Callable[[str], None]) -> None:
    versions = {v for v in ledger.outdated.values() if v is not None}
    old = [name for name, version in ledger.outdated.items() if version is not None]
    if not old:
        return
    say(
        f"the cache was written by another version of medseg (format "
        f"{', '.join(map(str, sorted(versions)))}; this one writes {making.SCHEMA}): "
        f"its {len(old)} cases are removed and made anew"
    )
    for name in old:
        cache.remove(name)


def _how_much(error: DiskFull, rows: Mapping[str, Row], *, left: int) -> DiskFull:
    """Say how much is missing, judged by what the cases so far took."""
    sizes = [sum(row.sizes) for row in rows.values()]
    if sizes:
        each = sum(sizes) / len(sizes)
        error.expected = f"about {gigabytes(round(each * left))} for the {left} cases left"
    else:
        error.expected = f"space for {left} preprocessed cases"
    return error


def _silent(text: str) -> None:
    return

"""A loader of whole batches: one ahead of a GPU, and with plain words when a worker dies."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from torch.utils.data import DataLoader, Dataset

from medseg.data.feed.batch import Batch, Sample
from medseg.data.feed.dataset import PatchDataset
from medseg.data.prepare.pool import deaf_to_interrupts
from medseg.errors import InputError

_END = object()


class PatchBatches(Dataset):
    """`PatchDataset` for a loader, which asks it for the items of a batch at once.

    Args:
        source: where patches come from.
        pin: cut into page-locked memory.
    """

    def __init__(self, source: PatchDataset, *, pin: bool = False) -> None:
        self.source, self.pin = source, pin

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Sample:
        return self.source[index]

    def __getitems__(self, indices: list[int]) -> Batch:
        """Cut a batch."""
        return self.source.batch(indices, pin=self.pin)


class FeedLoader(DataLoader):
    """A `DataLoader` that can prepare the next batch in a thread while this one is used.

    Set ``ahead`` for that; with workers it changes nothing. The thread draws nothing from the
    global generators, so it must not run transforms that do.
    """

    ahead: bool = False

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        with deaf_to_interrupts():
            source = super().__iter__()
        plain = _in_plain_words(source, self.num_workers)
        return one_ahead(plain) if self.ahead and self.num_workers == 0 else plain


def one_ahead(source: Iterator[Any]) -> Iterator[Any]:
    """Give what ``source`` gives, which works at the next item meanwhile, in a thread.

    Nothing is asked of it before the first item is, and an error comes where its item would.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="feed") as pool:
        waiting = pool.submit(next, source, _END)
        while (item := waiting.result()) is not _END:
            waiting = pool.submit(next, source, _END)
            yield item


def _in_plain_words(source: Iterator[Any], workers: int) -> Iterator[Any]:
    while True:
        try:
            item = next(source, _END)
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker"):
                raise
            said = [str(error.__cause__ or ""), str(error), *_signals(source)]
            raise worker_died("\n".join(filter(None, said)), workers) from error
        if item is _END:
            return
        yield item


def _signals(source: Any) -> list[str]:
    """Name the signals that ended workers: torch's message leaves it out if it looks too late."""
    ends = [process.exitcode for process in getattr(source, "_workers", ())]
    return [signal.strsignal(-end) or "" for end in ends if end is not None and end < 0]


def worker_died(text: str, workers: int) -> InputError:
    """Say why a process that prepared batches is gone, as far as torch's ``text`` tells."""
    fewer = "data.workers=0" if workers < 2 else f"fewer workers (data.workers={workers // 2})"
    if "Bus error" in text or "shared memory" in text:
        reason = "shared memory is full"
        remedy = f"enlarge /dev/shm (docker run --shm-size=8g), or use {fewer}"
    elif "Killed" in text:
        reason = "the system killed it, usually because memory ran out"
        remedy = f"use {fewer}, or leave the cases on disk: data.cache=disk"
    elif "Segmentation" in text or "Abort" in text:
        reason = "it crashed, probably within a library that a per-sample transform uses"
        remedy = "run with data.workers=0 to see where"
    else:
        reason = "it ended by itself; its own message, if any, is above"
        remedy = (
            'a script of your own needs `if __name__ == "__main__":` around what it does; '
            "otherwise data.workers=0 shows where it ends"
        )
    return InputError(
        f"a loader worker died: {reason}", found=text.splitlines()[0].strip(), remedy=remedy
    )

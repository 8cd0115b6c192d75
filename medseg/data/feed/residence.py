"""Where preprocessed cases live during a training: on the GPU, in memory, or on disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch

from medseg.data.feed.cases import FeedCase, maps_of
from medseg.data.feed.tensor_case import on_device
from medseg.errors import InputError
from medseg.machine import memory_available, room_for

Asked = Literal["auto", "ram", "disk", "device"]


class Residence(NamedTuple):
    """Where cases live.

    Attributes:
        where: ``device``: on the training device as a whole; ``ram``: in memory; ``disk``: read
            from the cache's files when a patch is cut.
        reason: why, in a few words.
    """

    where: Literal["ram", "disk", "device"]
    reason: str


def choose_residence(
    asked: Asked,
    *,
    size: int,
    device: torch.device,
    on_samples: bool,
    reserved: int = 0,
    free: int | None = None,
    memory: int | None = None,
    processes: int = 1,
) -> Residence:
    """Decide where cases live.

    Args:
        asked: ``auto`` chooses: on a GPU if the cases take less than a quarter of what the training
            leaves free, else in memory if less than a quarter of what is free there, else on disk.
        size: bytes of all images and labels.
        device: where the training runs.
        on_samples: there are per-sample transforms, which work in the loader, on the CPU.
        reserved: bytes of the GPU that the training will take, as far as is known.
        free: bytes of the GPU; ``None``: look.
        memory: bytes that this process may still take; ``None``: look.
        processes: that share this machine's memory, each with cases of its own.

    Raises:
        InputError: ``device`` is asked for, and the cases do not fit, or per-sample transforms
            would fetch every patch back.
    """
    if asked == "device" and on_samples:
        raise InputError(
            "data.cache is device, but the augmentation has per-sample transforms, and these work "
            "in main memory",
            remedy="data.cache=auto, or batched transforms only (augmentation: strong)",
        )
    if asked in ("ram", "disk"):
        return Residence(asked, f"data.cache is {asked}")
    on_gpu = device.type == "cuda"
    if on_gpu:
        free = max(0, (_free(device) if free is None else free) - reserved)
    if asked == "device":
        if on_gpu and free is not None and size > free:
            raise InputError(
                "data.cache is device, but the cases do not fit",
                expected=f"less than the {_gib(free)} that the training leaves free on {device}",
                found=f"{_gib(size)} of preprocessed cases",
                remedy="data.cache=auto",
            )
        return Residence("device", "data.cache is device")
    if on_gpu and not on_samples and free is not None and room_for(size, free):
        return Residence("device", f"{_gib(size)} of cases, {_gib(free)} free on the GPU")
    memory = memory_available() if memory is None else memory
    memory = None if memory is None else memory // processes
    if memory is not None and room_for(size, memory):
        return Residence("ram", f"{_gib(size)} of cases, {_gib(memory)} of memory free")
    return Residence("disk", f"{_gib(size)} of cases are too many for memory")


def settle(
    cases: Sequence[FeedCase], residence: Residence, *, device: torch.device
) -> list[FeedCase]:
    """Bring cases to where they shall live; those of the cache are read now, unless from disk.

    A case that was given as arrays is in memory already and stays there.
    """
    if residence.where == "disk":
        return list(cases)
    if residence.where == "device":
        return [_moved(case, device) for case in cases]
    for case in cases:
        load = getattr(case, "load", None)
        if load is not None:
            load()
    return list(cases)


def size_of(cases: Sequence[FeedCase]) -> int:
    """Count the bytes of images and labels, without opening a case that knows its size."""
    return sum(_size(case) for case in cases)


def _moved(case: FeedCase, device: torch.device) -> FeedCase:
    moved = on_device(case, device)
    close = getattr(case, "close", None)
    if close is not None:
        close()
    return moved


def _size(case: Any) -> int:
    known = getattr(case, "nbytes", None)
    if known is not None:
        return int(known)
    return sum(int(array.nbytes) for array in (case.image, *maps_of(case)) if array is not None)


def _free(device: torch.device) -> int:
    return int(torch.cuda.mem_get_info(device)[0])


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 / 10 else f"{size / 2**20:.0f} MiB"

"""The processes that train one network together: which of them this is, and what they agree on."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from medseg.errors import InputError, MedsegError

# Within a training one process may wait this long for the others: the first one writes checkpoints.
_PATIENCE = timedelta(hours=2)
# What torch says where the other end of a connection is gone.
_LOST = re.compile(
    r"Connection (closed|reset) by peer|Broken pipe|Connection was likely closed|"
    r"remote process exited|peer closed|NCCL communicator was aborted|Timed out waiting"
)
# Jobs of these names are shells; what runs in them was not started by srun.
_SHELLS = ("bash", "interactive")


class AnotherRankFailed(MedsegError):
    """Another process of this training has ended; what that one said tells why."""


@dataclass(frozen=True)
class Rank:
    """A process among those that train one network together.

    Attributes:
        number: 0 to ``world_size - 1``; the first one writes files.
        world_size: how many there are.
        local: its number on its machine.
        local_size: how many there are on each machine.
        launcher: what started them.
    """

    number: int
    world_size: int
    local: int
    local_size: int
    launcher: Literal["torchrun", "srun"] = "torchrun"


def of_environment(environment: Mapping[str, str] | None = None) -> Rank | None:
    """Tell by environment variables which process this is; ``None`` where it is alone.

    Known are those of ``torchrun`` and of SLURM's ``srun``.

    Raises:
        InputError: SLURM does not say how many processes each machine has.
    """
    found = os.environ if environment is None else environment
    if "TORCHELASTIC_RUN_ID" in found and int(found.get("WORLD_SIZE", 1)) > 1:
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        number, world, local, local_size = (int(found[name]) for name in names)
        return Rank(number, world, local, local_size)
    # In a batch script without srun there are tasks, but one process: it has no step.
    alone = int(found.get("SLURM_STEP_NUM_TASKS", 1)) < 2
    if alone or "SLURM_PROCID" not in found or found.get("SLURM_JOB_NAME") in _SHELLS:
        return None
    if "SLURM_NTASKS_PER_NODE" not in found:
        raise InputError(
            "SLURM does not say how many processes each machine has",
            expected="--ntasks-per-node, one task for each device",
            found=f"--ntasks={found['SLURM_STEP_NUM_TASKS']}",
            remedy="srun --nodes=N --ntasks-per-node=M medseg run …",
        )
    return Rank(
        int(found["SLURM_PROCID"]),
        int(found["SLURM_STEP_NUM_TASKS"]),
        int(found["SLURM_LOCALID"]),
        int(found["SLURM_NTASKS_PER_NODE"]),
        "srun",
    )


def connect(rank: Rank) -> Any:
    """Find the store through which processes speak before they are a group."""
    from torch.distributed import rendezvous

    if rank.launcher == "srun":
        from pytorch_lightning.plugins.environments import SLURMEnvironment

        slurm = SLURMEnvironment(auto_requeue=False)
        os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = (
            slurm.main_address,
            str(slurm.main_port),
        )
    store, _, _ = next(rendezvous("env://", rank.number, rank.world_size))
    return store


_present: Rank | None = None


@contextmanager
def group(rank: Rank, store: Any, name: str, *, cuda: bool) -> Iterator[None]:
    """Let the processes work together for a while; Lightning takes the group as it finds it.

    What lies on the CPU is sent by gloo, also in a training on GPUs: decisions need not wait for
    what the GPUs have still to compute.

    Args:
        rank: of this process.
        store: what `connect` found.
        name: of the group, the same in all of them, and another one each time.
        cuda: whether they train on GPUs.

    Raises:
        AnotherRankFailed: one of the others has ended.
    """
    import torch.distributed as dist

    global _present
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if cuda else "gloo",
        store=dist.PrefixStore(name, store),
        rank=rank.number,
        world_size=rank.world_size,
        timeout=_PATIENCE,
    )
    _present = rank
    try:
        yield
    except RuntimeError as error:
        # Not taken apart: that would wait for processes which may be gone. This one ends, too.
        if _LOST.search(str(error)):
            raise AnotherRankFailed(
                "another process of this training has ended; what it said tells why"
            ) from error
        raise
    else:
        dist.destroy_process_group()
    finally:
        _present = None


def present() -> Rank | None:
    """Tell which process of a `group` this is; ``None`` outside of one."""
    return _present


def world_size() -> int:
    """Count the processes that work together now; 1 outside of a group, whoever made it."""
    import torch.distributed as dist

    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def number() -> int:
    """Tell the number of this process; 0 outside of a group."""
    import torch.distributed as dist

    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def local_size() -> int:
    """Count the processes that share this machine."""
    if _present is not None:
        return _present.local_size
    size = world_size()
    return size if size == 1 else int(os.environ.get("LOCAL_WORLD_SIZE", size))


def from_first(make: Callable[[], Any]) -> Any:
    """Return what the first process makes, in all of them; alone, what ``make`` returns.

    Every process must call it. What is made are plain containers, which travel as JSON.

    Raises:
        AnotherRankFailed: the first one failed; there, what ``make`` raises.
    """
    if world_size() == 1:
        return make()
    if number() != 0:
        text = _broadcast(None)
        if not text:
            raise AnotherRankFailed("the first process of this training failed; it says why")
        return json.loads(text)
    try:
        text = json.dumps(make())
    except BaseException:
        _broadcast("")
        raise
    _broadcast(text)
    return json.loads(text)


def first_number(value: float) -> float:
    """Return the first process's value in all of them; every process must call it."""
    if world_size() == 1:
        return value
    import torch
    import torch.distributed as dist

    shared = torch.tensor([value], dtype=torch.float64)
    dist.broadcast(shared, 0)
    return float(shared)


def any_of(flag: bool) -> bool:
    """Say whether the flag is up in any process; every process must call it."""
    if world_size() == 1:
        return flag
    import torch
    import torch.distributed as dist

    shared = torch.tensor([int(flag)])
    dist.all_reduce(shared, dist.ReduceOp.MAX)
    return bool(shared)


def gathered(own: Any) -> list[Any]:
    """Return what each process gives, in their order; every process must call it.

    Plain containers, which travel as JSON, so that nothing is unpickled.
    """
    if world_size() == 1:
        return [own]
    text = json.dumps(own)
    return [
        json.loads(_broadcast(text if number() == rank else None, source=rank))
        for rank in range(world_size())
    ]


def _broadcast(text: str | None, *, source: int = 0) -> str:
    """Send a text from the process that gives it to the others."""
    import torch
    import torch.distributed as dist

    content = (text or "").encode()
    length = torch.tensor([len(content)])
    dist.broadcast(length, source)
    if not int(length):
        return ""
    if text is None:
        letters = torch.empty(int(length), dtype=torch.uint8)
    else:
        letters = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    dist.broadcast(letters, source)
    return letters.numpy().tobytes().decode()

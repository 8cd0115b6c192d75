"""Which items a training step draws, as a function of the step's number."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch.utils.data import DistributedSampler

from medseg.errors import InputError


def part_of(count: int, *, rank: int, world_size: int) -> range:
    """Say which of a step's ``count`` items a process draws: as many as the others, or one more.

    Raises:
        InputError: there are fewer items than processes.
    """
    if count < world_size:
        raise InputError(
            f"a batch of {count} cannot be split between {world_size} processes",
            expected="at least one patch for each",
            remedy=f"plan.batch_size={world_size}, or fewer trainer.devices",
        )
    each, more = divmod(count, world_size)
    first = rank * each + min(rank, more)
    return range(first, first + each + (rank < more))


class CaseSampler(DistributedSampler):
    """Share whole cases out to processes, none twice.

    Where there are fewer cases than processes, each takes all of them: means over all that was
    seen are then right, too, and no process waits for one that has nothing to do.

    Args:
        count: how many cases there are.
        rank: of this process.
        world_size: number of processes.
    """

    def __init__(self, count: int, *, rank: int, world_size: int) -> None:
        super().__init__(range(count), num_replicas=world_size, rank=rank, shuffle=False)  # type: ignore[arg-type]
        self.mine = range(rank, count, world_size) if count >= world_size else range(count)

    def __iter__(self) -> Iterator[int]:
        return iter(self.mine)

    def __len__(self) -> int:
        return len(self.mine)


class StepSampler(DistributedSampler):
    """Yield item numbers so that step ``g`` always draws the same ones.

    Step ``g`` draws ``g · batch_size + i`` for ``i`` in ``0 … batch_size - 1``; several processes
    share them out (`part_of`), so that together they see what one would see. Nothing is shuffled
    here; `PatchDataset` maps numbers to shuffled cases. A `torch.utils.data.DataLoader` cuts the
    numbers into batches, of a process's own share::

        DataLoader(dataset, batch_size=2, sampler=StepSampler(batch_size=2, steps_per_epoch=250))

    Each pass over the loader is the next epoch.

    It is a `DistributedSampler` because that is how Lightning knows a sampler that minds its rank,
    leaves it in place and calls its ``set_epoch``.

    Args:
        batch_size: items per step, of all processes together.
        steps_per_epoch: what the loader's length will be.
        rank: of this process.
        world_size: number of processes.
        position: gives the number of steps done, asked at the start of every pass; ``None``: count
            passes, or take the number from ``set_epoch``.

    Raises:
        InputError: there are fewer items in a step than processes.
    """

    def __init__(
        self,
        *,
        batch_size: int,
        steps_per_epoch: int,
        rank: int = 0,
        world_size: int = 1,
        position: Callable[[], int] | None = None,
    ) -> None:
        if batch_size < 1 or steps_per_epoch < 1:
            raise ValueError(
                f"batch_size and steps_per_epoch must be at least 1, "
                f"got {batch_size} and {steps_per_epoch}"
            )
        items = range(batch_size * steps_per_epoch)
        super().__init__(items, num_replicas=world_size, rank=rank, shuffle=False)  # type: ignore[arg-type]
        self.batch_size = batch_size
        self.part = part_of(batch_size, rank=rank, world_size=world_size)
        self.steps_per_epoch = steps_per_epoch
        self.position = position
        self._first = 0

    def seek(self, step: int) -> None:
        """Make the next pass begin at global step ``step`` and end with that step's epoch.

        Later passes are whole again. A step counts batches, whether or not gradients accumulate
        over them.
        """
        if step < 0:
            raise ValueError(f"a step is not negative: {step}")
        self.set_epoch(step // self.steps_per_epoch)
        self._first = step

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Call `seek` with ``state["step"]``."""
        self.seek(int(state["step"]))

    def __iter__(self) -> Iterator[int]:
        # Read when the first item is drawn: Lightning makes the iterator of the first epoch
        # before it calls set_epoch.
        if self.position is not None:
            self.seek(self.position())
        start = self.epoch * self.steps_per_epoch
        stop = start + self.steps_per_epoch
        if start <= self._first < stop:
            start = self._first
        self._first = 0
        self.set_epoch(self.epoch + 1)
        for step in range(start, stop):
            for item in self.part:
                yield step * self.batch_size + item

    def __len__(self) -> int:
        return self.steps_per_epoch * len(self.part)

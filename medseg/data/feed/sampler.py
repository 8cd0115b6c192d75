"""Which items a training step draws, as a function of the step's number."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch.utils.data import DistributedSampler


class StepSampler(DistributedSampler):
    """Yield item numbers so that step ``g`` always draws the same ones.

    Step ``g`` of rank ``r`` draws ``(g · world_size + r) · batch_size + i`` for ``i`` in
    ``0 … batch_size - 1``. Nothing is shuffled here; `PatchDataset` maps numbers to shuffled cases.
    A `torch.utils.data.DataLoader` cuts the numbers into batches::

        DataLoader(dataset, batch_size=2, sampler=StepSampler(batch_size=2, steps_per_epoch=250))

    Each pass over the loader is the next epoch.

    It is a `DistributedSampler` because that is how Lightning knows a sampler that minds its rank,
    leaves it in place and calls its ``set_epoch``.

    Args:
        batch_size: items per step and rank.
        steps_per_epoch: what the loader's length will be.
        rank: of this process.
        world_size: number of processes.
        position: gives the number of steps done, asked at the start of every pass; ``None``: count
            passes, or take the number from ``set_epoch``.
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
        items = range(batch_size * steps_per_epoch * world_size)
        super().__init__(items, num_replicas=world_size, rank=rank, shuffle=False)  # type: ignore[arg-type]
        self.batch_size = batch_size
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
            base = (step * self.num_replicas + self.rank) * self.batch_size
            yield from range(base, base + self.batch_size)

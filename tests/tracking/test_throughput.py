from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from medseg.data.feed.batch import Batch
from medseg.tracking.throughput import ThroughputCallback, batch_length


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_validations_do_not_count():
    clock, logged = Clock(), []
    module = SimpleNamespace(log=lambda name, value, **_: logged.append((name, value)))
    trainer = SimpleNamespace(global_step=0, log_every_n_steps=2, world_size=1)
    callback = ThroughputCallback(now=clock)
    batch = (torch.zeros(3, 1, 4, 4), torch.zeros(3, 1, 4, 4))
    callback.on_train_start(trainer, module)
    for step in range(1, 5):
        clock.seconds += 0.5
        trainer.global_step = step
        callback.on_train_batch_end(trainer, module, None, batch, step)
        if step == 3:
            callback.on_validation_start(trainer, module)
            clock.seconds += 100
            callback.on_validation_end(trainer, module)
    assert logged == [("throughput", 6.0), ("throughput", 6.0)]


@pytest.mark.parametrize(
    "batch",
    [
        torch.zeros(5, 1, 2, 2),
        (torch.zeros(5, 1, 2, 2), torch.zeros(5, 1, 2, 2)),
        {"label": torch.zeros(1), "image": torch.zeros(5, 1, 2, 2)},
        Batch(torch.zeros(5, 1, 2, 2), None, torch.zeros(5), ["a"] * 5),
    ],
)
def test_length_of_a_batch_in_any_container(batch):
    assert batch_length(batch) == 5

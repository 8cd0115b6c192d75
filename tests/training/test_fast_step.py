import copy
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from medseg.data.feed.batch import Batch
from medseg.labels import LabelScheme
from medseg.networks import UNet
from medseg.tasks import SegmentationTask
from medseg.training import fast_step
from medseg.training.compiling import is_compiled
from medseg.training.fast_step import FastStep, match_layout, set_channels_last, step_seconds


def a_task(dims=3, **options):
    torch.manual_seed(0)
    network = UNet(spatial_dims=dims, in_channels=1, num_classes=2, features=(4, 8))
    return SegmentationTask(network, LabelScheme({"background": 0, "thing": 1}), **options)


def a_batch(dims=3):
    image = torch.randn(2, 1, *[8] * dims)
    label = (image > 0).to(torch.uint8)
    return Batch(image, label, torch.zeros(2, dtype=torch.int64), ["a", "b"])


FULL = torch.OutOfMemoryError("CUDA out of memory")


class Trainer(SimpleNamespace):
    def __init__(self, **options):
        super().__init__(
            should_stop=False,
            global_step=0,
            optimizers=[],
            strategy=SimpleNamespace(batch_to_device=lambda batch, device: batch),
            precision_plugin=SimpleNamespace(forward_context=nullcontext),
            **options,
        )


@pytest.fixture
def timed(monkeypatch):
    """Pretend that trying is worth while here, and script what each try measures."""

    def script(**seconds):
        monkeypatch.setattr(fast_step, "may_gain", lambda device: True)

        def measure(module, batch, **_):
            last = not next(
                p for p in module.parameters() if p.ndim == 5 and p.shape[1] > 1
            ).is_contiguous()
            found = seconds[
                "compiled" if is_compiled(module.network) else "last" if last else "plain"
            ]
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(fast_step, "step_seconds", measure)
        monkeypatch.setattr(torch, "compile", lambda call, *_, **__: call)

    return script


@pytest.mark.parametrize(
    ("seconds", "budget", "expected"),
    [
        ({"plain": 1.0, "last": 0.7, "compiled": 0.5}, 3600, (True, True)),
        ({"plain": 1.0, "last": 0.7, "compiled": 0.9}, 3600, (True, False)),
        ({"plain": 1.0, "last": 1.2, "compiled": 0.5}, 3600, (False, True)),
        ({"plain": 1.0, "last": 0.99, "compiled": 0.5}, 300, (False, False)),
        ({"plain": 1.0, "last": RuntimeError("no kernel"), "compiled": 0.5}, 3600, (False, True)),
        ({"plain": 1.0, "last": FULL, "compiled": 0.5}, 300, (False, False)),
        ({"plain": FULL, "last": FULL, "compiled": FULL}, 3600, (False, False)),
        ({"plain": 1.0, "last": 0.7, "compiled": FULL}, 3600, (True, False)),
    ],
)
def test_auto_keeps_what_measured_faster_and_compiles_long_trainings_only(
    timed, seconds, budget, expected
):
    timed(**seconds)
    task = a_task()
    fast = FastStep(batch=a_batch, seconds=lambda: budget, say=lambda _: None)
    fast.on_train_start(Trainer(), task)
    assert (fast.chosen.channels_last, fast.chosen.compiled) == expected
    assert is_compiled(task.network) == expected[1]
    weight = next(p for p in task.network.parameters() if p.ndim == 5 and p.shape[1] > 1)
    assert weight.is_contiguous() != expected[0]


def test_on_a_cpu_auto_tries_nothing():
    fast = FastStep(batch=lambda: pytest.fail("a batch was made"), seconds=lambda: 1e6)
    fast.on_train_start(Trainer(), a_task())
    assert (fast.chosen.channels_last, fast.chosen.compiled) == (False, False)


def test_a_compiler_that_fails_is_said_once_and_done_without(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(torch, "compile", broken)
    task, said = a_task(), []
    FastStep(compile=True, channels_last=False, say=said.append).on_train_start(Trainer(), task)
    assert len(said) == 1 and "no compiler here" in said[0]
    assert not is_compiled(task.network)


def test_a_resumed_training_compiles_only_if_enough_steps_are_left(timed):
    timed(plain=1.0, last=2.0, compiled=0.5)
    chosen = []
    for taken in (0, 3990):
        fast = FastStep(batch=a_batch, steps=4000, say=lambda _: None)
        trainer = Trainer()
        trainer.global_step = taken
        fast.on_train_start(trainer, a_task())
        chosen.append(fast.chosen.compiled)
    assert chosen == [True, False]


class _Broken(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise RuntimeError("the backward pass does not compile")


def test_a_backward_pass_that_does_not_compile_is_found_before_the_training(monkeypatch):
    def compiled(call, *_, **__):
        return lambda x: _Broken.apply(call(x))

    monkeypatch.setattr(torch, "compile", compiled)
    task, said = a_task(), []
    fast = FastStep(compile=True, channels_last=False, batch=a_batch, say=said.append)
    fast.on_train_start(Trainer(), task)
    assert len(said) == 1 and "the backward pass does not compile" in said[0]
    assert not is_compiled(task.network) and not fast.chosen.compiled
    task.batch_loss(a_batch()).backward()


@pytest.mark.parametrize("dims", [2, 3])
def test_channels_last_changes_neither_loss_nor_gradients_beyond_rounding(dims):
    one, other = a_task(dims), a_task(dims)
    names = list(one.state_dict())
    set_channels_last(other, True)
    batch = a_batch(dims)
    losses = [task.batch_loss(batch) for task in (one, other)]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(*losses)
    for a, b in zip(one.network.parameters(), other.network.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-5)
    assert list(other.state_dict()) == names
    one.load_state_dict(other.state_dict())
    assert all(p.is_contiguous() for p in one.parameters())


def test_timing_a_step_leaves_buffers_and_random_states_alone():
    task = a_task()
    task.network = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm3d(1), nn.Conv3d(1, 2, 1))
    batch = a_batch()
    before, state = copy.deepcopy(task.network.state_dict()), torch.get_rng_state()
    assert step_seconds(task, batch, context=nullcontext) > 0
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in task.network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(p.grad is None for p in task.network.parameters())


def test_a_step_that_fails_leaves_buffers_and_random_states_alone():
    task = a_task()
    task.network = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm3d(1), nn.Conv3d(1, 2, 1))
    batch = a_batch()

    def fail(batch):
        task.network(batch.image)
        raise FULL

    task.batch_loss = fail
    before, state = copy.deepcopy(task.network.state_dict()), torch.get_rng_state()
    with pytest.raises(torch.OutOfMemoryError):
        step_seconds(task, batch, context=nullcontext)
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in task.network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_resumed_optimisers_state_follows_the_layout_of_the_weights():
    task = a_task()
    optimizer = torch.optim.AdamW(task.network.parameters(), fused=True)
    task.batch_loss(a_batch()).backward()
    optimizer.step()
    twin, steps = copy.deepcopy(task), copy.deepcopy(optimizer.state_dict())
    set_channels_last(twin, True)
    other = torch.optim.AdamW(twin.network.parameters(), fused=True)
    other.load_state_dict(steps)
    match_layout([other])
    for p in twin.network.parameters():
        assert other.state[p]["exp_avg"].stride() == p.stride()
    for model, stepper in ((task, optimizer), (twin, other)):
        for p in model.network.parameters():
            p.grad = torch.full_like(p, 0.1)
        stepper.step()
    for a, b in zip(task.network.parameters(), twin.network.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_it_works_in_a_trainer_of_anybodys():
    fast = FastStep(channels_last=True, say=lambda _: None)
    task = a_task()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=2,
        logger=False,
        callbacks=[fast],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    batch = a_batch()
    trainer.fit(task, torch.utils.data.DataLoader([batch] * 2, batch_size=None))
    assert fast.chosen.channels_last and trainer.global_step == 2

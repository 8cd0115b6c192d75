from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from medseg.data.feed import Batch, MemoryCase, SegmentationDataModule, TensorCase
from medseg.data.feed.augment import Affine, Mirror

STEPS = 4


def make_cases(count, shape=(6, 6)):
    rng = np.random.default_rng(0)
    labels = [rng.integers(0, 3, shape) for _ in range(count)]
    return [MemoryCase(f"case{i}", label[None] + 0.0, label) for i, label in enumerate(labels)]


class Recorder(pl.LightningModule):
    """A user's own module; it writes down what it was given."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(1, 3, 1)
        self.seen: list = []
        self.validated: list = []

    def training_step(self, batch, batch_idx):
        assert isinstance(batch, Batch)
        self.seen.append(
            (batch_idx, batch.seeds.tolist(), batch.case_ids, batch.image.sum().item())
        )
        return torch.nn.functional.cross_entropy(self.layer(batch.image), batch.label[:, 0].long())

    def validation_step(self, batch, batch_idx):
        self.validated.append((batch.case_ids[0], tuple(batch.image.shape), batch.image.clone()))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class SaveAt(pl.Callback):
    """Save once, when a hook fires for the given count of batches."""

    def __init__(self, hook, step, path):
        self.step, self.path = step, path
        setattr(self, hook, self._save)

    def _save(self, trainer, *args):
        done = trainer.fit_loop.epoch_loop.batch_progress.total.processed
        if done == self.step and not trainer.sanity_checking:
            trainer.save_checkpoint(self.path)


def make_data(**options):
    options = {"patch_size": (4, 4), "batch_size": 2, "steps_per_epoch": STEPS, **options}
    return SegmentationDataModule(make_cases(5), make_cases(2), **options)


def fit(data, *callbacks, ckpt_path=None, **options):
    module = Recorder()
    limits = {"max_epochs": 3} if "max_steps" not in options else {}
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
        **limits,
        **options,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(module, data, ckpt_path=ckpt_path, weights_only=True if ckpt_path else None)
    module.warned = [str(w.message) for w in caught]
    return module


@pytest.fixture(scope="module")
def uninterrupted():
    return fit(make_data()).seen


def test_each_step_is_counted_and_each_case_is_seen_equally(uninterrupted):
    assert [seen[0] for seen in uninterrupted] == [*range(STEPS)] * 3
    ids = [name for seen in uninterrupted for name in seen[2]]
    assert {ids[:20].count(f"case{i}") for i in range(5)} == {4}


def test_the_sequence_does_not_depend_on_the_workers(uninterrupted):
    assert fit(make_data(num_workers=2)).seen == uninterrupted


def test_the_sequence_does_not_depend_on_where_the_cases_live(uninterrupted):
    data = make_data(cache="device")
    places = []

    class Look(pl.Callback):
        def on_train_start(self, trainer, module):
            places.append(type(data.train_set.cases[0]))
            assert data.feed_plan.residence == "device"

    assert fit(data, Look()).seen == uninterrupted
    assert places == [TensorCase]
    # Afterwards the device is free again.
    assert isinstance(data.train_set.cases[0], MemoryCase)
    assert data.feed_plan is None


def test_the_sequence_does_not_depend_on_batches_being_made_ahead(uninterrupted, tmp_path):
    def ahead():
        data = make_data()
        plan = data.settle(torch.device("cpu"))
        data.feed_plan = replace(plan, prefetch=1)
        return data

    assert fit(ahead()).seen == uninterrupted
    path = tmp_path / "last.ckpt"
    fit(ahead(), SaveAt("on_train_batch_end", 6, path))
    assert fit(ahead(), ckpt_path=path).seen == uninterrupted[6:]


def test_margins_are_cut_for_augmentation_that_asks():
    data = make_data(augmentation=[Affine(p_rotation=1.0)])
    batch = next(iter(data.train_dataloader()))
    assert batch.wide is not None
    assert next(iter(make_data(augmentation=[Mirror()]).train_dataloader())).wide is None


def test_what_is_chosen_can_be_asked_before_the_training():
    data = make_data(num_workers=99)
    plan = data.settle(torch.device("cpu"))
    assert plan.workers <= 99
    assert data.settle(torch.device("cpu")) is plan
    assert data.train_dataloader().num_workers == plan.workers


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("limit", [{}, {"max_steps": 3 * STEPS}])
@pytest.mark.parametrize(
    ("hook", "step"),
    [
        ("on_train_batch_end", 1),
        ("on_train_batch_end", 6),
        ("on_train_batch_end", 8),
        ("on_train_epoch_end", 4),
        ("on_validation_end", 8),
    ],
)
def test_a_resumed_run_goes_on_with_the_same_items(
    tmp_path: Path, uninterrupted, workers, limit, hook, step
):
    path = tmp_path / "last.ckpt"
    fit(make_data(), SaveAt(hook, step, path), **limit)
    rest = fit(make_data(num_workers=workers), ckpt_path=path, **limit)
    assert rest.seen == uninterrupted[step:]
    assert not [text for text in rest.warned if "resum" in text]


def test_resume_step_says_where_to_begin_without_a_checkpoint_of_the_loader(
    tmp_path: Path, uninterrupted
):
    path = tmp_path / "last.ckpt"
    fit(make_data(), SaveAt("on_train_batch_end", 6, path))
    data = make_data()
    data.resume_step(6)
    assert fit(data, ckpt_path=path).seen == uninterrupted[6:]


def test_a_run_with_shortened_epochs_resumes_too(tmp_path: Path):
    whole = fit(make_data(), limit_train_batches=3).seen
    path = tmp_path / "last.ckpt"
    fit(make_data(), SaveAt("on_train_batch_end", 5, path), limit_train_batches=3)
    assert fit(make_data(), ckpt_path=path, limit_train_batches=3).seen == whole[5:]


def test_accumulated_gradients_do_not_shift_the_position(tmp_path: Path, uninterrupted):
    path = tmp_path / "last.ckpt"
    fit(make_data(), SaveAt("on_train_batch_end", 6, path), accumulate_grad_batches=2)
    rest = fit(make_data(), ckpt_path=path, accumulate_grad_batches=2)
    assert rest.seen == uninterrupted[6:]


def test_a_second_training_with_the_same_data_starts_from_the_beginning(uninterrupted):
    data = make_data()
    assert fit(data).seen == uninterrupted
    assert fit(data).seen == uninterrupted


def test_overfitting_one_batch_repeats_it():
    seen = fit(make_data(), overfit_batches=1).seen
    assert len({tuple(one[1]) for one in seen}) == 1


def test_validation_sees_whole_volumes_unchanged():
    data = make_data(augmentation=[Mirror(p=1.0)])
    validated = fit(data, num_sanity_val_steps=2).validated
    cases = make_cases(2)
    assert [v[0] for v in validated[:2]] == ["case0", "case1"]
    for number, (_, shape, image) in enumerate(validated):
        assert shape == (1, 1, 6, 6)
        np.testing.assert_array_equal(image[0].numpy(), cases[number % 2].image)


def test_training_batches_are_augmented_and_plain_ones_are_not():
    plain = fit(make_data(augmentation=None)).seen
    mirrored = fit(make_data(augmentation=[Mirror(p=1.0)])).seen
    default = fit(make_data()).seen
    assert [p[1:3] for p in plain] == [d[1:3] for d in default]
    np.testing.assert_allclose([p[3] for p in plain], [m[3] for m in mirrored], rtol=1e-5)
    assert [p[3] for p in plain] != [d[3] for d in default]


def test_an_epoch_is_one_pass_unless_said_otherwise():
    assert len(make_data(steps_per_epoch=None).train_dataloader()) == 3


def test_a_run_without_validation_cases_trains():
    data = SegmentationDataModule(make_cases(3), patch_size=(4, 4), batch_size=2)
    assert len(fit(data, limit_val_batches=0).seen) == 6


def test_without_a_trainer_each_pass_is_the_next_epoch(uninterrupted):
    loader = make_data().train_dataloader()
    seeds = [batch.seeds.tolist() for _ in range(3) for batch in loader]
    assert seeds == [seen[1] for seen in uninterrupted]


@pytest.mark.parametrize("workers", [0, 1])
def test_iterating_does_not_move_the_global_generators(workers):
    loader = make_data(num_workers=workers).train_dataloader()
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    list(loader)
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)


class WriteDown(pl.Callback):
    def __init__(self, folder):
        self.folder = folder

    def on_train_end(self, trainer, module):
        ids = sorted({v[0] for v in module.validated})
        result = {"seeds": [seen[1] for seen in module.seen], "val": ids}
        (self.folder / f"{trainer.global_rank}.json").write_text(json.dumps(result))


# Lightning would put a sampler of its own in place unless told otherwise, or unless it knows ours.
@pytest.mark.parametrize("wrap", [False, True])
def test_two_processes_share_out_the_patches_of_a_step_and_the_validation(tmp_path: Path, wrap):
    fit(
        make_data(),
        WriteDown(tmp_path),
        strategy="ddp_fork",
        devices=2,
        use_distributed_sampler=wrap,
        num_sanity_val_steps=0,
    )
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    data = make_data().train_set
    for rank, result in enumerate(ranks):
        for step, seeds in enumerate(result["seeds"]):
            assert seeds == [data[2 * step + rank].seed]
    assert [result["val"] for result in ranks] == [["case0"], ["case1"]]

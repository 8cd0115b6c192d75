import copy
from dataclasses import replace

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from medseg.errors import InputError
from medseg.inference.window import SlidingWindow
from medseg.labels import IGNORED, LabelScheme
from medseg.losses import CrossEntropyLoss, region_masks
from medseg.losses.registry import create
from medseg.networks import UNet
from medseg.tasks import SegmentationTask
from medseg.tasks.batches import as_batch
from medseg.training.compiling import compile_or_not

TWO = LabelScheme({"background": 0, "a": 1, "b": 2})
REGIONS = LabelScheme({"background": 0, "a": 1, "b": 2}, {"whole": (1, 2), "core": (2,)})


class Fixed(nn.Module):
    """Returns the same logits whatever it sees."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, x):
        return self.logits.expand(len(x), *self.logits.shape[1:])


def trainer(**options):
    return pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def one_hot_logits(index, classes):
    return torch.nn.functional.one_hot(index.long(), classes).movedim(-1, 1).float() * 20 - 10


def test_validation_dice_is_the_mean_over_cases_where_the_class_is_defined():
    target = torch.zeros(2, 1, 4, 4, dtype=torch.long)
    target[0, 0, :2] = 1  # class a in the first case only; class b nowhere in the references
    preds = torch.zeros(4, 4, dtype=torch.long)
    preds[:1] = 1
    task = SegmentationTask(Fixed(one_hot_logits(preds[None], 3)), TWO, ema=None)
    loader = DataLoader(
        [(torch.zeros(1, 4, 4), target[0]), (torch.zeros(1, 4, 4), target[1])], batch_size=1
    )
    (metrics,) = trainer().validate(task, loader, verbose=False)
    first = 2 * 4 / (4 + 8)  # the second case has no `a`, but its prediction does: Dice 0
    assert metrics["val/dice/a"] == pytest.approx((first + 0.0) / 2)
    assert metrics["val/dice/b"] != metrics["val/dice/b"]  # NaN: nobody has it
    assert metrics["val/dice"] == pytest.approx(first / 2)


def test_regions_are_trained_with_masks_and_decoded_to_labels():
    label = torch.tensor([[0, 1], [2, 2]])[None, None]
    network = Fixed(torch.tensor([[[[-9.0, 9.0], [9.0, 9.0]], [[-9.0, -9.0], [9.0, 9.0]]]]))
    task = SegmentationTask(network, REGIONS, ema=None)
    assert float(task.loss([network.logits], task._target(label))) < 0.01
    out = task.validation_step((torch.zeros(1, 1, 2, 2), label), 0)
    assert torch.equal(out["preds"].long(), label[:, 0])


def test_a_non_finite_loss_stops_and_names_the_cases():
    task = SegmentationTask(Fixed(torch.full((1, 3, 4, 4), float("nan"))), TWO)
    batch = {
        "image": torch.zeros(2, 1, 4, 4),
        "label": torch.zeros(2, 1, 4, 4),
        "case_ids": ["patient_7", "patient_9"],
    }
    with pytest.raises(InputError, match="patient_7, patient_9"):
        trainer(max_steps=1).fit(task, DataLoader([batch], batch_size=None))


def test_deep_supervision_trains_every_head():
    network = UNet(
        spatial_dims=2, in_channels=1, num_classes=3, features=(4, 6, 8), deep_supervision=True
    )
    task = SegmentationTask(network, TWO)
    task.train()
    task.log = lambda *_, **__: None
    loss = task.training_step((torch.randn(2, 1, 16, 16), torch.randint(0, 3, (2, 1, 16, 16))), 0)
    loss.backward()
    heads = [p for n, p in network.named_parameters() if "head" in n]
    assert heads and any(p.grad is not None and p.grad.abs().sum() > 0 for p in heads[1:])


def test_it_learns_in_a_users_own_trainer_with_a_users_own_loader():
    torch.manual_seed(0)
    data = []
    for _ in range(4):
        label = torch.zeros(1, 16, 16, dtype=torch.long)
        x, y = torch.randint(0, 8, (2,)).tolist()
        label[:, x : x + 8, y : y + 8] = 1
        data.append({"image": label + 0.3 * torch.randn(1, 16, 16), "label": label})
    network = UNet(spatial_dims=2, in_channels=1, num_classes=2, features=(8, 16))
    task = SegmentationTask(
        network,
        LabelScheme({"background": 0, "square": 1}),
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=1e-2),
        ema=0.9,
    )
    loader = DataLoader(data, batch_size=2)
    runner = trainer(max_epochs=25)
    runner.fit(task, loader, DataLoader(data, batch_size=1))
    assert SegmentationTask.score_name == "val/dice"
    assert float(runner.callback_metrics["val/dice"]) > 0.9


def test_the_schedule_follows_the_trainers_own_limit_without_a_clock():
    task = SegmentationTask(Fixed(torch.zeros(1, 3, 4, 4)), TWO, schedule=lambda f: 1.0 - f)
    batch = (torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4))
    runner = trainer(max_steps=4)
    runner.fit(task, DataLoader([batch] * 8, batch_size=None))
    assert runner.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.0)


def test_a_checkpoint_without_description_still_says_its_labels(tmp_path):
    task = SegmentationTask(Fixed(torch.zeros(1, 3, 4, 4)), TWO)
    batch = (torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4))
    runner = trainer(max_steps=1)
    runner.fit(task, DataLoader([batch], batch_size=None))
    runner.save_checkpoint(tmp_path / "x.ckpt")
    record = torch.load(tmp_path / "x.ckpt", weights_only=True)["medseg"]
    assert LabelScheme.from_dict(record["labels"]) == TWO


@pytest.mark.parametrize("clip", [None, 0.05])
def test_accumulated_batches_make_the_step_that_one_large_batch_makes(clip):
    """Loss scale, clipping, schedule and averaging all count steps, not batches."""
    torch.manual_seed(0)
    network = UNet(spatial_dims=2, in_channels=1, num_classes=3, features=(4, 8))
    image, label = torch.randn(12, 1, 8, 8), torch.randint(0, 3, (12, 1, 8, 8))
    tasks = []
    for size, accumulate in ((6, 1), (2, 3)):
        task = SegmentationTask(
            copy.deepcopy(network),
            TWO,
            loss=CrossEntropyLoss(),
            optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
            schedule=lambda fraction: 1.0 - fraction,
            ema=0.5,
        )
        batches = [(image[i : i + size], label[i : i + size]) for i in range(0, 12, size)]
        runner = trainer(max_steps=4, accumulate_grad_batches=accumulate, gradient_clip_val=clip)
        runner.fit(task, DataLoader(batches, batch_size=None))
        assert runner.global_step == 4 and int(task.averaged.n_averaged) == 4
        tasks.append(task)
    one, other = (task.state_dict() for task in tasks)
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-4, atol=1e-6)


def test_the_loss_is_logged_when_it_is_written_and_not_at_every_step(monkeypatch):
    task = SegmentationTask(Fixed(torch.zeros(1, 3, 4, 4)), TWO)
    logged, log = [], task.log

    def noted(name, *rest, **options):
        logged.append((task.global_step, name))
        log(name, *rest, **options)

    monkeypatch.setattr(task, "log", noted)
    batch = (torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4))
    trainer(max_steps=25, log_every_n_steps=10).fit(task, DataLoader([batch] * 25, batch_size=None))
    assert [step for step, name in logged if name == "train/loss"] == [0, 9, 19]
    assert [step for step, name in logged if name == "lr"] == [0, 9, 19]


def test_a_checkpoint_says_in_which_precision_it_was_trained(tmp_path):
    task = SegmentationTask(Fixed(torch.zeros(1, 3, 4, 4)), TWO)
    batch = (torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4))
    runner = trainer(max_steps=1, precision="bf16-mixed")
    runner.fit(task, DataLoader([batch], batch_size=None))
    runner.save_checkpoint(tmp_path / "x.ckpt")
    record = torch.load(tmp_path / "x.ckpt", weights_only=True)["medseg"]
    assert record["precision"] == "bf16-mixed"


def test_steps_that_log_nothing_read_nothing_back_from_the_device(monkeypatch):
    task = SegmentationTask(
        Fixed(torch.zeros(1, 3, 4, 4)),
        TWO,
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1),  # AdamW reads its steps
    )
    task._finite.watch = lambda *_, **__: None  # on a CPU it looks at once
    read, item = [], torch.Tensor.item

    def noted(tensor):
        read.append(task.global_step)
        return item(tensor)

    monkeypatch.setattr(torch.Tensor, "item", noted)
    batch = (torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4))
    trainer(max_steps=8, log_every_n_steps=4).fit(task, DataLoader([batch] * 8, batch_size=None))
    assert set(read) <= {0}  # before the first step is over


def test_volumes_that_do_not_fit_the_devices_memory_are_scored_in_smaller_portions(caplog):
    network = UNet(spatial_dims=2, in_channels=1, num_classes=3, features=(4, 8))
    task = SegmentationTask(
        network, TWO, ema=None, window=SlidingWindow((16, 16), overlap=0.5, batch_size=4)
    )
    batch = {"image": torch.randn(1, 1, 24, 24), "label": torch.randint(3, (1, 1, 24, 24))}
    expected = task.validation_step(batch, 0)["preds"]
    inner = network.forward

    def starved(image):
        if len(image) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inner(image)

    network.forward = starved
    assert torch.equal(task.validation_step(batch, 0)["preds"], expected)
    assert "one window at a time" in caplog.text


def test_validation_does_not_compile_the_network_anew(monkeypatch):
    calls = []

    def compiled(call, *_, **__):
        return lambda x: calls.append(x) or call(x)

    monkeypatch.setattr(torch, "compile", compiled)
    task = SegmentationTask(Fixed(torch.zeros(1, 3, 4, 4)), TWO, ema=None)
    compile_or_not(task.network, print)
    task.predict_logits(torch.zeros(1, 1, 4, 4))
    assert calls == []


@pytest.mark.parametrize("scheme", [TWO, REGIONS])
def test_voxels_to_ignore_are_neither_learnt_nor_scored(scheme):
    scheme = replace(scheme, ignore=9)
    target = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    target[..., 1:3, :] = 1
    target[..., 3, :] = IGNORED
    task = SegmentationTask(Fixed(torch.randn(1, scheme.num_outputs, 4, 4)), scheme, ema=None)
    batch = as_batch((torch.zeros(1, 1, 4, 4), target))
    task.batch_loss(batch).backward()
    gradient = task.network.logits.grad
    assert gradient[..., :3, :].ne(0).any()
    assert gradient[..., 3, :].eq(0).all()
    right = target.masked_fill(target == IGNORED, 2)
    with torch.no_grad():
        sure = region_masks(right, scheme.region_indices()).float() * 20 - 10
        task.network.logits.copy_(sure if scheme.regions else one_hot_logits(right[:, 0], 3))
    _, _, dice = task.score(batch)
    assert dice[0, 0] == 1.0 and dice[0, 1].isnan()


def test_a_loss_that_cannot_ignore_is_refused_where_a_label_says_so():
    loss = create("monai.DiceLoss", regions=False)
    SegmentationTask(Fixed(torch.zeros(1, 3, 4, 4)), TWO, loss=loss)
    with pytest.raises(InputError, match="DiceLoss cannot leave out"):
        SegmentationTask(Fixed(torch.zeros(1, 3, 4, 4)), replace(TWO, ignore=9), loss=loss)

"""A small training with every logger; its W&B run file is read back record by record."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from medseg.data.feed.batch import Batch
from medseg.errors import InputError
from medseg.geometry.boxes import Boxes
from medseg.labels import LabelScheme
from medseg.tracking import (
    BottleneckCallback,
    CurvesCallback,
    OverlayCallback,
    ThroughputCallback,
    TrainingProgress,
    build_loggers,
    close_loggers,
    log_artifacts,
)
from medseg.tracking.overlays import COLOURS

SECRET = "s3cr3t-value-of-the-environment"
CASES = [f"patient_{i}" for i in range(6)]


class Task(pl.LightningModule):
    """Logs and returns what SegmentationTask does, without its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def training_step(self, batch: Batch, batch_idx: int):
        loss = (self.scale * batch.image).square().mean()
        self.log("train/loss", loss, batch_size=len(batch.image))
        self.log("lr", 0.01, batch_size=1)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        preds = (batch.image[:, 0] > 0).long()
        target = batch.label[:, 0]
        return {"image": batch.image, "preds": preds, "target": target, "case_ids": batch.case_ids}

    def on_validation_epoch_end(self) -> None:
        self.log("val/dice/anterior", 0.75)
        self.log("val/dice/posterior", 0.25)
        self.log("val/dice", 0.5)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class BoxTask(Task):
    """Returns what DetectionTask does: in every image one box is found, and one missed."""

    score_name = "val/map"
    labels = LabelScheme({"background": 0, "node": 1, "mass": 2})

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        count = len(batch.image)
        there = Boxes([[1, 1, 0, 4, 5, 2], [2, 3, 3, 5, 6, 5]], [0, 1])
        found = Boxes(there.corners[:1], [0], [0.75])
        return {
            "image": batch.image,
            "boxes": [found] * count,
            "target_boxes": [there] * count,
            "case_ids": batch.case_ids,
        }

    def on_validation_epoch_end(self) -> None:
        self.log("val/map/node", 0.5)
        self.log("val/map", 0.25)


def batches(case_ids: list[str], size: int) -> DataLoader:
    generator = torch.Generator().manual_seed(0)
    out = []
    for first in range(0, len(case_ids), size):
        ids = case_ids[first : first + size]
        image = torch.randn(len(ids), 1, 6, 7, 5, generator=generator)
        out.append(Batch(image, (image > 1).byte(), torch.zeros(len(ids)), ids))
    return DataLoader(out, batch_size=None)


def fit(
    folder: Path,
    spec: list,
    *,
    steps: int,
    resume: bool = False,
    lines: list[str],
    task: type[Task] = Task,
) -> None:
    loggers = build_loggers(
        spec,
        folder,
        config={"recipe": {"data": {"root": "${DATA_ROOT}/x"}}, "plan": {"patch_size": [6, 7, 5]}},
        run_name="quickstart",
        resume=resume,
        say=lines.append,
    )
    trainer = pl.Trainer(
        max_steps=steps,
        logger=loggers,
        log_every_n_steps=1,
        callbacks=[
            OverlayCallback(),
            ThroughputCallback(),
            CurvesCallback(folder),
            TrainingProgress(lambda: trainer.global_step / steps, quiet=True),
            BottleneckCallback(folder, quiet=True),
        ],
        accelerator="cpu",
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        check_val_every_n_epoch=1,
    )
    checkpoint = folder / "last.ckpt"
    path = str(checkpoint) if resume else None
    trainer.fit(task(), batches(CASES, 2), batches(CASES, 1), ckpt_path=path, weights_only=True)
    trainer.save_checkpoint(checkpoint)
    metrics = folder / "metrics.json"
    score = {"dice": 0.5}
    data = {"cases": {c: {"anterior": score} for c in CASES}, "mean": score}
    metrics.write_text(json.dumps(data))
    log_artifacts(loggers, checkpoint=checkpoint, metrics=metrics)
    close_loggers(loggers)


def records(file: Path) -> Iterator[Any]:
    """Read W&B's run file: LevelDB's log format behind a header of 7 bytes, protobuf inside."""
    from wandb.proto import wandb_internal_pb2

    data = file.read_bytes()
    assert data[:4] == b":W&B"
    position, whole = 7, b""
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        if position + 7 + length > len(data):
            return  # still being written
        whole += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # full, or the last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            whole = b""
            yield record


@dataclass
class OfflineRun:
    id: str = ""
    name: str = ""
    project: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, list[str]] = field(default_factory=dict)

    def values(self, name: str) -> list[Any]:
        return [row[name] for row in self.history if name in row]


def finished_records(file: Path) -> list[Any]:
    """Wait for the last record: another process writes the file, and finish() may return first."""
    deadline = time.monotonic() + 60
    while True:
        found = list(records(file))
        if any(r.WhichOneof("record_type") == "exit" for r in found):
            return found
        assert time.monotonic() < deadline, "the run file has no end"
        time.sleep(0.05)


def read_run(file: Path) -> OfflineRun:
    run = OfflineRun()

    def key(item: Any) -> str:
        return item.key or "/".join(item.nested_key)

    for record in finished_records(file):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.id, run.name, run.project = (
                record.run.run_id,
                record.run.display_name,
                record.run.project,
            )
            run.config |= {u.key: json.loads(u.value_json) for u in record.run.config.update}
        elif kind == "history":
            run.history.append({key(i): json.loads(i.value_json) for i in record.history.item})
        elif kind == "summary":
            run.summary |= {key(i): json.loads(i.value_json) for i in record.summary.update}
        elif kind == "artifact":
            contents = [entry.path for entry in record.artifact.manifest.contents]
            run.artifacts[record.artifact.name] = contents
    return run


def run_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("wandb/offline-run-*/*.wandb"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DISABLED", "WANDB_PROJECT", "NETRC"):
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(home))
        patch.setenv("DATA_ROOT", SECRET)
        patch.chdir(home)
        folder = tmp_path_factory.mktemp("run") / "fold_0"
        lines: list[str] = []
        spec = ["csv", "tensorboard", ("wandb", {"images": 3})]
        fit(folder, spec, steps=3, lines=lines)
        (first,) = run_files(folder)
        fit(folder, spec, steps=6, resume=True, lines=lines)
        (second,) = set(run_files(folder)) - {first}
        yield folder, read_run(first), read_run(second), lines


def test_missing_key_is_said_in_one_line(trained):
    _, _, _, lines = trained
    assert len(lines) == 2
    assert lines[0].startswith("W&B: offline: no API key")
    assert "\n" not in lines[0]


def test_run_file_holds_losses_dice_rate_and_throughput(trained):
    _, run, _, _ = trained
    assert len(run.values("train/loss")) == 3
    assert run.values("val/dice/anterior") == [0.75]
    assert run.values("val/dice") == [0.5]
    assert run.values("lr") == pytest.approx([0.01] * 3)
    assert len(run.values("throughput")) == 3
    assert min(run.values("throughput")) > 0


def test_run_file_holds_recipe_and_plan_unexpanded(trained):
    folder, run, _, _ = trained
    assert run.project == "medseg"
    assert run.name == "quickstart"
    assert run.config["recipe"] == {"data": {"root": "${DATA_ROOT}/x"}}
    assert run.config["plan"] == {"patch_size": [6, 7, 5]}
    for file in folder.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file


def test_overlays_show_the_same_first_cases_each_time(trained):
    folder, run, resumed, _ = trained
    for part in (run, resumed):
        assert part.values("overlays/captions") == [CASES[:3]]
        assert part.values("overlays/count") == [3]
    assert len(list(folder.glob("wandb/offline-run-*/files/media/images/*.png"))) >= 3


def test_checkpoint_and_metrics_are_artifacts(trained):
    _, run, _, _ = trained
    assert run.artifacts == {
        f"model-{run.id}": ["last.ckpt"],
        f"metrics-{run.id}": ["metrics.json"],
    }
    assert run.summary["metrics/mean/dice"] == 0.5


def test_shares_of_the_time_and_advice_are_in_the_run(trained):
    folder, run, resumed, _ = trained
    assert len(run.values("time/forward")) == 3
    assert 0 < run.summary["time/validation"] < 1
    assert run.summary["time/advice"].endswith(".")
    report = json.loads((folder / "time.json").read_text())
    assert report["steps"] == 6
    assert resumed.summary["time/advice"] == report["advice"]


def test_resuming_goes_on_in_the_same_run_and_table(trained):
    folder, run, resumed, _ = trained
    assert run.id == resumed.id == (folder / "wandb_id").read_text().strip()
    assert resumed.values("trainer/global_step")[-1] > run.values("trainer/global_step")[-1]
    table = np.genfromtxt(folder / "progress.csv", delimiter=",", names=True)
    assert len(set(table["step"])) == len(table["step"])
    assert np.isfinite(table["trainloss"]).sum() == 6


def test_curves_are_whole_after_resuming(trained):
    folder, *_ = trained
    state = torch.load(folder / "last.ckpt", weights_only=True)["callbacks"]["CurvesCallback"]
    assert [step for step, _ in state["curves"]["train/loss"]] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in state["curves"]["val/dice"]] == [3, 6]
    from PIL import Image

    with Image.open(folder / "progress.png") as picture:
        assert picture.size == (1000, 400)


def test_tensorboard_holds_scalars_pictures_and_recipe(trained):
    folder, *_ = trained
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    tags = events.Tags()
    assert {"train/loss", "val/dice/anterior", "lr", "throughput"} <= set(tags["scalars"])
    assert set(tags["images"]) == {f"overlays/{case}" for case in CASES[:4]}
    assert "recipe/text_summary" in tags["tensors"]


@pytest.fixture
def boxes_run(tmp_path, monkeypatch):
    """Give a function that trains with boxes and W&B's options, and what its run holds."""

    def train(*spec: Any) -> OfflineRun:
        monkeypatch.setenv("WANDB_MODE", "offline")
        fit(tmp_path / "fold_0", list(spec), steps=3, lines=[], task=BoxTask)
        (file,) = run_files(tmp_path / "fold_0")
        return read_run(file)

    return train


def test_boxes_are_sent_apart_from_the_picture_with_names_and_scores(boxes_run, tmp_path):
    from PIL import Image

    (tmp_path / "fold_0").mkdir()
    Image.new("RGB", (40, 16)).save(tmp_path / "fold_0" / "froc.png")
    run = boxes_run(("wandb", {"images": 2, "hash_cases": True}))
    assert run.values("froc/count") == [1] and run.values("froc/width") == [40]
    (captions,) = run.values("overlays/captions")
    assert len(captions) == 2 and all(name.startswith("case-") for name in captions)
    (all_boxes,) = run.values("overlays/all_boxes")
    media = tmp_path.glob("fold_0/wandb/offline-run-*/files/media")
    (folder,) = media
    for shown in all_boxes:
        found = json.loads((folder.parent / shown["predictions"]["path"]).read_text())["box_data"]
        there = json.loads((folder.parent / shown["reference"]["path"]).read_text())["box_data"]
        assert [box["box_caption"] for box in found] == ["node 0.75"]
        assert [box["scores"] for box in found] == [{"score": 0.75}]
        assert [box["box_caption"] for box in there] == ["node", "mass"]
    # Two slices of 7 x 6 pixels, 36 times as large, without a drawn box.
    with Image.open(next(folder.rglob("overlays*.png"))) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape == (2 * 7 * 36, 6 * 36, 3)
    assert (pixels == pixels[..., :1]).all()


def test_other_loggers_get_pictures_with_the_boxes_drawn(tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fit(tmp_path, ["tensorboard"], steps=3, lines=[], task=BoxTask)
    events = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    assert set(events.Tags()["images"]) == {f"overlays/{case}" for case in CASES[:4]}
    from io import BytesIO

    from PIL import Image

    data = events.Images(f"overlays/{CASES[0]}")[0].encoded_image_string
    with Image.open(BytesIO(data)) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert (pixels == COLOURS[0]).all(axis=-1).any()


def test_curves_of_a_detection_are_of_its_own_score(tmp_path):
    fit(tmp_path, ["csv"], steps=3, lines=[], task=BoxTask)
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["callbacks"]["CurvesCallback"]
    assert state["curves"]["val/map"] == [[3.0, 0.25]]
    assert state["curves"]["val/map/node"] == [[3.0, 0.5]]


def test_private_runs_with_boxes_send_no_picture(boxes_run):
    run = boxes_run(("wandb", {"log_images": False}))
    assert not [name for row in run.history for name in row if "overlays" in name]


def test_private_runs_send_neither_pictures_nor_case_ids(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    lines: list[str] = []
    options = {"log_images": False, "hash_cases": True, "log_checkpoint": False, "project": "p"}
    fit(tmp_path / "fold_0", [("wandb", options)], steps=3, lines=lines)
    (file,) = run_files(tmp_path / "fold_0")
    run = read_run(file)
    assert not [name for row in run.history for name in row if "overlays" in name]
    assert run.project == "p"
    assert list(run.artifacts) == [f"metrics-{run.id}"]
    assert "\n".join(lines).count("offline") >= 1
    for sent in (tmp_path / "fold_0" / "wandb").rglob("*"):
        if sent.is_file():
            assert b"patient_" not in sent.read_bytes(), sent


def test_disabled_mode_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    fit(tmp_path / "fold_0", ["wandb"], steps=3, lines=[])
    assert not run_files(tmp_path / "fold_0")


def test_server_that_does_not_answer_turns_the_run_offline(tmp_path, monkeypatch):
    monkeypatch.setattr("medseg.tracking.wandb_run._CONNECT_SECONDS", 2.0)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    import wandb

    wandb.teardown()  # it reads the environment once per process
    lines: list[str] = []
    loggers = build_loggers(["wandb"], tmp_path, config={}, run_name="r", say=lines.append)
    close_loggers(loggers)
    wandb.teardown()
    assert len(run_files(tmp_path)) == 1
    assert len(lines) == 1
    assert "offline" in lines[0]


def test_a_key_that_wandb_does_not_find_never_leads_to_a_question(tmp_path, monkeypatch):
    class Terminal:
        def isatty(self) -> bool:
            return True

        def __getattr__(self, name: str):
            raise AssertionError(f"the keyboard was asked: {name}")

    import wandb

    for name in ("WANDB_API_KEY", "WANDB_MODE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(
        "medseg.tracking.wandb_run.choose_mode", lambda *, offline: ("online", None)
    )
    wandb.teardown()
    lines: list[str] = []
    loggers = build_loggers(["wandb"], tmp_path, config={}, run_name="r", say=lines.append)
    close_loggers(loggers)
    wandb.teardown()
    assert len(lines) == 1
    assert "offline" in lines[0]


def test_none_builds_nothing(tmp_path):
    assert build_loggers(["none"], tmp_path, config={}, run_name="r") == []
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("spec", [["mlflow"], [("csv", {"images": 3})], [("wandb", {"projct": 1})]])
def test_unknown_loggers_and_options_are_refused_before_anything_opens(tmp_path, spec):
    with pytest.raises(InputError, match="logger"):
        build_loggers(["csv", *spec], tmp_path, config={}, run_name="r")
    assert not list(tmp_path.iterdir())

"""Weights are found in what a user has, and nothing in it is run."""

from __future__ import annotations

import pickle

import pytest
import torch

from medseg.errors import InputError
from medseg.training.transfer import read

STATE = {"layer.weight": torch.ones(2, 1, 3, 3)}


def refused(path, **options) -> str:
    with pytest.raises(InputError) as caught:
        read(path, **options)
    assert caught.value.file is not None
    return str(caught.value)


def test_a_checkpoint_gives_its_averaged_weights_and_what_they_mean(save, record, plan):
    content = record()
    found = read(save(content, "best.ckpt"))
    assert found.kind == "checkpoint of medseg 0.1.0"
    assert (found.channels, found.classes, found.regions) == (
        ("T1",),
        ("background", "liver"),
        False,
    )
    assert found.network == content["medseg"]["network"]
    assert found.plan == plan and found.structure["features"] == [4, 8]
    for name, value in found.state.items():
        assert torch.equal(value, content["state_dict"][f"network.{name}"] / 2)


@pytest.mark.parametrize(
    ("use", "expected"), [("channels", ("liver",)), ("both", ("liver",)), ("crop", ())]
)
def test_a_cascade_says_which_masks_are_channels(save, record, use, expected):
    cascade = {"use": use, "classes": 1, "margin": 20.0, "first": "first"}
    found = read(save(record(cascade=cascade), "best.ckpt"))
    assert found.guides == expected and found.channels == ("T1",)


def test_a_run_of_one_fold_is_that_fold(save, record, tmp_path):
    path = save(record(), "run/fold_3/checkpoints/best.ckpt")
    assert read(tmp_path / "run").path == path
    assert read(tmp_path / "run" / "fold_3").path == path


def test_of_a_run_of_several_folds_one_must_be_meant(save, record, tmp_path):
    paths = [save(record(), f"run/fold_{i}/checkpoints/best.ckpt") for i in range(2)]
    assert read(tmp_path / "run", fold=1).path == paths[1]
    message = refused(tmp_path / "run")
    assert "which to start from" in message and "fold_0, fold_1" in message
    assert "fold_5" in refused(tmp_path / "run", fold=5)


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3},
        {"model": STATE, "optimizer": {"lr": 0.1}},
        {"network_weights": STATE, "trainer_name": "nnUNetTrainer"},
        {"pytorch-lightning_version": "2.5", "state_dict": STATE},
    ],
    ids=["alone", "state_dict", "model", "nnunet", "lightning"],
)
def test_weights_are_found_alone_or_in_a_trainings_checkpoint(save, content):
    found = read(save(content))
    assert found.kind == "weights" and found.channels is None and found.classes is None
    assert torch.equal(found.state["layer.weight"], STATE["layer.weight"])


def test_a_path_where_nothing_is(tmp_path):
    assert "nothing to transfer from" in refused(tmp_path / "absent")


def test_a_folder_without_a_checkpoint(tmp_path):
    assert "holds no checkpoint" in refused(tmp_path)


def test_a_file_that_is_no_checkpoint(tmp_path):
    (tmp_path / "notes.pt").write_text("hello")
    message = refused(tmp_path / "notes.pt")
    assert "not a checkpoint" in message and "text" in message


def test_a_file_without_tensors(save):
    message = refused(save({"epoch": 3, "lr": 0.1}))
    assert "holds no weights" in message and "epoch, lr" in message


class Malicious:
    def __reduce__(self):
        return print, ("run",)


def test_pickled_objects_are_refused_and_not_run(save, capsys):
    message = refused(save({"state_dict": STATE, "config": Malicious()}))
    assert "Python objects" in message and "write its weights alone" in message
    assert "run" not in capsys.readouterr().out


def test_a_plain_pickle_is_refused(tmp_path):
    (tmp_path / "weights.pth").write_bytes(pickle.dumps(Malicious()))
    assert "not a checkpoint" in refused(tmp_path / "weights.pth")


def test_a_program_is_refused_with_the_reason(tmp_path):
    scripted = torch.jit.script(torch.nn.Conv2d(1, 1, 1))
    for name in ("model.ts", "model.pt"):
        scripted.save(str(tmp_path / name))
        message = refused(tmp_path / name)
        assert "TorchScript file is a program" in message and "state_dict()" in message


def test_a_checkpoint_of_another_task_is_refused(save, record):
    message = refused(save(record(task="reconstruction"), "best.ckpt"))
    assert "another task" in message and "reconstruction" in message


def test_safetensors_are_read_where_the_library_is(tmp_path):
    library = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")
    library.save_file(STATE, tmp_path / "weights.safetensors")
    found = read(tmp_path / "weights.safetensors")
    assert torch.equal(found.state["layer.weight"], STATE["layer.weight"])
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    assert "damaged" in refused(tmp_path / "bad.safetensors")


def test_safetensors_without_the_library_say_what_to_install(tmp_path, monkeypatch):
    from medseg.training.transfer import source

    monkeypatch.setattr(source.importlib.util, "find_spec", lambda name: None)
    (tmp_path / "weights.safetensors").write_bytes(b"")
    assert "pip install safetensors" in refused(tmp_path / "weights.safetensors")

"""What the device at hand takes of the plan, end to end."""

from math import prod

import pytest
import torch
from ruamel.yaml import YAML

from medseg.stages import device
from medseg.training.dry_step import Measured

FREE = ["plan.patch_size=null", "plan.batch_size=null"]


def device_yaml(folder):
    return YAML(typ="safe").load((folder / "device.yaml").read_text())


def weights(folder, name="last"):
    return torch.load(folder / "fold_0" / "checkpoints" / f"{name}.ckpt", weights_only=True)


@pytest.fixture
def small(monkeypatch):
    """Leave room for so many voxels a step, a kilobyte each."""

    def step(task, batch, *, device, precision):
        return Measured(0.1, 0.04, 1000 * len(batch.image) * prod(batch.image.shape[2:]))

    def leave(voxels, name=None):
        monkeypatch.setattr("medseg.training.dry_step.dry_step", step)
        monkeypatch.setattr("medseg.stages.device.free_memory", lambda _: 1000 * voxels / 0.9)
        if name is not None:
            monkeypatch.setattr("medseg.stages.device.device_name", lambda _: name)

    return leave


def test_a_roomy_device_takes_what_is_planned_and_says_so(cli, recipe, here):
    code, _, err = cli("fit", recipe)
    assert code == 0, err
    found = device_yaml(here / "runs" / "tiny")
    assert found["training"]["batch_size"] == 2 and found["training"]["accumulate"] == 1
    assert found["training"]["patch_size"] == [16, 16, 16]
    assert found["measured"]["seconds_per_step"] > 0
    text = (here / "runs" / "tiny" / "device.yaml").read_text()
    assert "batch_size: 2  # as planned" in text
    assert "device" not in (here / "runs" / "tiny" / "plan.yaml").read_text()


def test_the_dry_step_changes_no_weight(cli, recipe, here, monkeypatch):
    assert cli("fit", recipe, "run_dir=with")[0] == 0
    monkeypatch.setattr(
        device, "run", lambda job, plan, reserve=0: device.OnDevice(plan, job.recipe)
    )
    assert cli("fit", recipe, "run_dir=without")[0] == 0
    one, other = weights(here / "with")["state_dict"], weights(here / "without")["state_dict"]
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_little_memory_means_smaller_batches_that_add_up(cli, recipe, here, small):
    small(16**3 * 1.2)
    code, out, err = cli("fit", recipe, "plan.batch_size=null")
    assert code == 0, err
    found = device_yaml(here / "runs" / "tiny")["training"]
    assert (found["batch_size"], found["accumulate"]) == (1, 2)
    assert "batch 1 instead of 2" in out
    checkpoint = weights(here / "runs" / "tiny", "best")
    assert checkpoint["medseg"]["plan"]["batch_size"] == 1
    assert checkpoint["global_step"] == 2
    assert "batch_size: 2" in (here / "runs" / "tiny" / "plan.yaml").read_text()


def test_what_the_recipe_fixes_is_refused_with_what_would_fit(cli, recipe, here, small):
    small(16**3 * 1.2)
    code, _, err = cli("fit", recipe)
    assert code == 2
    assert "plan.batch_size=1 trainer.accumulate=2" in err and "Traceback" not in err
    assert not list((here / "runs").rglob("*.ckpt"))


def test_a_training_that_goes_on_keeps_what_it_began_with(cli, recipe, here, small, monkeypatch):
    words = ["plan.batch_size=null", "trainer.steps=4"]
    small(16**3 * 1.2)
    assert cli("fit", recipe, *words)[0] == 0
    before = (here / "runs" / "tiny" / "device.yaml").read_text()
    (here / "runs" / "tiny" / "fold_0" / "checkpoints" / "best.ckpt").unlink()
    small(2**40)
    monkeypatch.setattr(
        "medseg.stages.device.fit_to_device", lambda *_, **__: pytest.fail("measured again")
    )
    code, _, err = cli("fit", recipe, *words, "--resume")
    assert code == 0, err
    assert (here / "runs" / "tiny" / "device.yaml").read_text() == before


def test_on_another_device_it_keeps_batch_and_patch_or_is_refused(cli, recipe, here, small):
    words = ["plan.batch_size=null", "trainer.steps=4"]
    small(16**3 * 1.2, "a small CPU")
    assert cli("fit", recipe, *words)[0] == 0
    small(16**3 * 0.5, "a tiny CPU")
    code, _, err = cli("fit", recipe, *words, "data.fold=1")
    assert code == 2 and "a small CPU" in err and "a tiny CPU" in err
    small(2**40, "a big CPU")
    code, _, err = cli("fit", recipe, *words, "data.fold=1")
    assert code == 0, err
    found = device_yaml(here / "runs" / "tiny")
    assert found["device"] == "a big CPU"
    assert (found["training"]["batch_size"], found["training"]["accumulate"]) == (1, 2)


def test_starting_over_measures_anew(cli, recipe, here, small):
    words = ["plan.batch_size=null"]
    small(16**3 * 1.2)
    assert cli("fit", recipe, *words)[0] == 0
    small(2**40)
    assert cli("fit", recipe, *words, "--overwrite")[0] == 0
    assert device_yaml(here / "runs" / "tiny")["training"]["batch_size"] == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has such a device")
@pytest.mark.parametrize("verb", ["fit", "run"])
@pytest.mark.parametrize("word", ["trainer.accelerator=cuda", "trainer.devices=[7]"])
def test_a_device_that_is_not_there_stops_before_anything_is_read(cli, recipe, here, verb, word):
    code, _, err = cli(verb, recipe, word)
    assert code == 2 and "the CPU only" in err and "Traceback" not in err
    assert not (here / "runs").exists()


def test_a_damaged_device_file_is_named(cli, recipe, here):
    assert cli("fit", recipe)[0] == 0
    (here / "runs" / "tiny" / "device.yaml").write_text("training: {batch_size: many}\n")
    code, _, err = cli("fit", recipe, "--resume")
    assert code == 2 and "device.yaml" in err and "delete the file" in err


def test_a_training_that_runs_out_of_memory_says_what_to_do(cli, recipe, here, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    monkeypatch.setattr("pytorch_lightning.Trainer.fit", full)
    code, _, err = cli("fit", recipe)
    assert code == 2 and "was not enough for this training" in err, err
    assert "plan.batch_size=1;" in err and "data.cache" not in err  # there is one memory only

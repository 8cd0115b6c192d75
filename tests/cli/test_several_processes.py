"""Two real processes train one network, on the CPU."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch

from medseg.cli import main

TWO = ["trainer.accelerator=cpu", "trainer.devices=2"]
SAME = ["optimizer={name: sgd, lr: 0.05, momentum: 0.9}", "trainer.precision=32"]
SAME += ["trainer.steps=6", "trainer.validate_every=3", "plan.batch_size=3", "loss.batch=true"]
ENV = {"OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}


def weights(folder, name="last"):
    return torch.load(folder / "fold_0" / "checkpoints" / f"{name}.ckpt", weights_only=True)


def validations(folder):
    return json.loads((folder / "fold_0" / "validations.json").read_text())


def finish(running, seconds=240):
    output, _ = running.communicate(timeout=seconds)
    return running.returncode, output


def require_same_training(one, other):
    a, b = weights(one), weights(other)
    assert a["global_step"] == b["global_step"] == 6
    assert a["state_dict"].keys() == b["state_dict"].keys()
    start = weights(one)["state_dict"]
    for key, value in a["state_dict"].items():
        torch.testing.assert_close(b["state_dict"][key], value, rtol=1e-4, atol=1e-5, msg=key)
    assert any(key.startswith("averaged.") for key in start)
    found = validations(one), validations(other)
    assert [entry["step"] for entry in found[0]] == [entry["step"] for entry in found[1]] == [3, 6]
    for x, y in zip(*found, strict=True):
        assert y["val/dice"] == pytest.approx(x["val/dice"], abs=2e-3)


@pytest.fixture(scope="module")
def one(tmp_path_factory, tiny):
    """Train in one process."""
    folder = tmp_path_factory.mktemp("one_process")
    (folder / "tiny.yaml").write_text(tiny)
    words = ["fit", str(folder / "tiny.yaml"), "trainer.accelerator=cpu", *SAME, "-q"]
    assert main([*words, f"run_dir={folder / 'run'}"]) == 0
    return folder / "run"


def test_two_processes_train_what_one_does(cli, recipe, here, one, monkeypatch):
    # Three patches a step and two processes: one of them has two.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = ["fit", recipe, *TWO, *SAME, "run_dir=two", "logger=csv"]
    code, out, err = cli(*words)
    assert code == 0, err
    assert "2 processes train together on cpu" in out
    require_same_training(one, here / "two")
    device = (here / "two" / "device.yaml").read_text()
    assert 'device: "2 x CPU' in device and "batch_size: 3  # as planned" in device
    assert "val/dice/head" in (here / "two" / "fold_0" / "progress.csv").read_text()
    assert [path.name for path in (here / "two" / "logs").iterdir()] == ["fold_0.process_1.log"]
    # The number of devices changes nothing of what a run is: it is finished, for one as for two.
    code, out, err = cli("fit", recipe, "trainer.accelerator=cpu", *SAME, "run_dir=two")
    assert code == 0 and "is trained, unchanged" in out, err


@pytest.mark.slow
def test_torchrun_starts_a_whole_run(recipe, here, one):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "medseg", "run", str(recipe)]
    command += ["trainer.accelerator=cpu", *SAME, "run_dir=two"]
    running = subprocess.Popen(
        command,
        cwd=here,
        env={**os.environ, **ENV},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    code, output = finish(running)
    assert code == 0, output
    assert output.count("2 processes train together") == 1
    require_same_training(one, here / "two")
    assert (here / "two" / "metrics.json").is_file()


@pytest.mark.slow
def test_torchrun_trains_a_first_stage_alone(recipe, here):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "medseg", "run", str(recipe), "--first-stage"]
    command += ["trainer.accelerator=cpu", "data.folds=2"]
    command += ["cascade.first=coarse", "cascade.spacing=3"]
    running = subprocess.Popen(
        command,
        cwd=here,
        env={**os.environ, **ENV},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    code, output = finish(running)
    assert code == 0, output
    assert output.count("2 processes train together") == 2
    first = here / "runs" / "tiny" / "first"
    assert len(list(first.glob("predictions/*.nii.gz"))) == 6


def a_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.slow
def test_srun_starts_a_training(recipe, here, one, process):
    port = str(a_port())
    running = []
    for number in range(2):
        slurm = {
            "SLURM_JOB_ID": "4242",
            "SLURM_JOB_NAME": "train",
            "SLURM_NTASKS": "2",
            "SLURM_STEP_NUM_TASKS": "2",
            "SLURM_NTASKS_PER_NODE": "2",
            "SLURM_NNODES": "1",
            "SLURM_NODELIST": "127.0.0.1",
            "SLURM_PROCID": str(number),
            "SLURM_LOCALID": str(number),
            "SLURM_NODEID": "0",
            "MASTER_PORT": port,
        }
        words = ["fit", recipe, "trainer.accelerator=cpu", *SAME, "run_dir=two"]
        running.append(process(*words, cwd=here, env={**os.environ, **ENV, **slurm}))
    ends = [finish(each) for each in running]
    assert [code for code, _ in ends] == [0, 0], ends
    assert "best checkpoint" in ends[0][1] and not ends[1][1].strip()
    require_same_training(one, here / "two")


@pytest.mark.slow
def test_one_process_s_mistake_ends_the_training_in_its_own_words(cli, recipe, here, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.syspath_prepend(here)
    (here / "spoilt_process.py").write_text(
        "import os\n\nfrom medseg.errors import InputError\n"
        "from medseg.losses import DiceCELoss\n\n\n"
        "class Spoilt(DiceCELoss):\n"
        "    def forward(self, logits, target):\n"
        "        if os.environ.get('RANK') == '1':\n"
        "            raise InputError('the second process has had enough')\n"
        "        return super().forward(logits, target)\n"
    )
    loss = "loss={name: 'spoilt_process:Spoilt'}"
    words = [
        "fit",
        recipe,
        *TWO,
        loss,
        "--trust",
        "spoilt_process",
        "run_dir=two",
        "plan.batch_size=2",
    ]
    code, _, err = cli(*words)
    assert code == 2, err
    assert "error: the second process has had enough" in err and "Traceback" not in err


@pytest.mark.slow
def test_ctrl_c_stops_both_at_the_same_step_and_one_process_may_go_on(cli, recipe, here, process):
    words = ["fit", recipe, "trainer.accelerator=cpu", "run_dir=two", "trainer.steps=150"]
    words += ["trainer.checkpoint_every=5", "trainer.validate_every=75"]
    running = process(*words, "trainer.devices=2", cwd=here, env={**os.environ, **ENV})
    last = here / "two" / "fold_0" / "checkpoints" / "last.ckpt"
    until = time.monotonic() + 120
    while not last.exists() and time.monotonic() < until and running.poll() is None:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    code, output = finish(running)
    assert code == 130, output
    assert "Traceback" not in output
    assert 5 <= weights(here / "two")["global_step"] < 150
    code, out, err = cli(*words, "--resume")
    assert code == 0, err
    assert "resuming from" in out and weights(here / "two")["global_step"] == 150


@pytest.mark.slow
def test_a_budget_ends_both(cli, recipe, here, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    stop = "trainer.early_stopping={patience: 50}"
    code, _, err = cli("fit", recipe, *TWO, "trainer.budget=6s", "run_dir=two", stop)
    assert code == 0, err
    clock = weights(here / "two")["callbacks"]
    (state,) = [value for key, value in clock.items() if key.startswith("TrainingClock")]
    assert state["limit"] == 6.0 and state["ended"]
    assert validations(here / "two")

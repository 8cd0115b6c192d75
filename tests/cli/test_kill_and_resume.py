"""Processes that are killed or interrupted, and what they leave behind."""

import os
import signal
import time

import pytest
import torch

LOSS = """\
import os
import signal

from medseg.losses import DiceCELoss


class Deadly(DiceCELoss):
    '''Kills its process at a given call, as a power cut would.'''

    def __init__(self, *, at: int = 0):
        super().__init__()
        self.at, self.calls = at, 0

    def forward(self, logits, target):
        self.calls += 1
        if self.calls == self.at and os.environ.get("DEADLY"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(logits, target)
"""


@pytest.fixture
def fit(recipe, here, process):
    (here / "mine.py").write_text(LOSS)
    words = ["trainer.steps=40", "trainer.steps_per_epoch=15", "trainer.checkpoint_every=10"]
    words += ["trainer.validate_every=100", "seed=7", "loss={name: 'mine:Deadly', at: 26}"]

    def run(folder, *options, deadly=False):
        env = {**os.environ, "DEADLY": "1" if deadly else "", "OMP_NUM_THREADS": "1"}
        command = ["fit", recipe, *words, f"run_dir={folder}", "--trust", "mine", *options]
        return process(*command, cwd=here, env=env)

    return run


def weights(folder):
    return torch.load(folder / "fold_0" / "checkpoints" / "last.ckpt", weights_only=True)


def finish(running):
    output, _ = running.communicate(timeout=240)
    return running.returncode, output


def test_a_run_killed_in_an_epoch_resumes_to_bit_identical_weights(fit, here):
    code, output = finish(fit("whole"))
    assert code == 0, output
    code, _ = finish(fit("cut", deadly=True))
    assert code == -signal.SIGKILL
    assert weights(here / "cut")["global_step"] == 20
    code, output = finish(fit("cut", "--resume"))
    assert code == 0, output
    one, other = weights(here / "whole"), weights(here / "cut")
    assert one["global_step"] == other["global_step"] == 40
    raw = [key for key in one["state_dict"] if key.startswith("network.")]
    averaged = [key for key in one["state_dict"] if key.startswith("averaged.module.")]
    assert raw and len(raw) == len(averaged)
    for key in [*raw, *averaged]:
        assert torch.equal(one["state_dict"][key], other["state_dict"][key]), key


def test_ctrl_c_exits_with_130_and_leaves_a_whole_checkpoint(recipe, here, process):
    running = process("fit", recipe, "trainer.steps=100000", "trainer.checkpoint_every=5", cwd=here)
    last = here / "runs" / "tiny" / "fold_0" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not last.exists() and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    code, output = finish(running)
    assert code == 130, output
    assert "Traceback" not in output
    assert torch.load(last, weights_only=True)["global_step"] >= 5
    assert [p.name for p in last.parent.iterdir() if p.suffix == ".tmp"] == []


def test_sigterm_outside_of_training_ends_with_a_word(cli, recipe, monkeypatch):
    from medseg.stages import plan

    monkeypatch.setattr(plan, "run", lambda job: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    code, _, err = cli("plan", recipe)
    assert code == 130 and "stopped by SIGTERM" in err
    assert signal.getsignal(signal.SIGTERM) is before

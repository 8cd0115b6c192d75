import pytest

from medseg import ranks
from medseg.errors import InputError

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none",
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
}
SRUN = {
    "SLURM_JOB_ID": "4242",
    "SLURM_JOB_NAME": "train.sh",
    "SLURM_NTASKS": "4",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_NTASKS_PER_NODE": "2",
    "SLURM_PROCID": "2",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "1",
}


def without(environment, name):
    return {key: value for key, value in environment.items() if key != name}


def test_torchrun_says_which_process_this_is():
    assert ranks.of_environment(TORCHRUN) == ranks.Rank(3, 4, 1, 2, "torchrun")


def test_srun_says_which_process_this_is():
    assert ranks.of_environment(SRUN) == ranks.Rank(2, 4, 0, 2, "srun")


def test_lightning_reads_the_same_of_srun(monkeypatch):
    from pytorch_lightning.plugins.environments import SLURMEnvironment

    for name, value in SRUN.items():
        monkeypatch.setenv(name, value)
    slurm, found = SLURMEnvironment(auto_requeue=False), ranks.of_environment()
    assert (slurm.global_rank(), slurm.world_size()) == (found.number, found.world_size)
    assert slurm.local_rank() == found.local
    slurm.validate_settings(num_devices=found.local_size, num_nodes=2)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {**TORCHRUN, "WORLD_SIZE": "1"},
        without(TORCHRUN, "TORCHELASTIC_RUN_ID"),
        without(SRUN, "SLURM_STEP_NUM_TASKS"),  # a batch script that does not use srun
        {**SRUN, "SLURM_STEP_NUM_TASKS": "1"},
        {**SRUN, "SLURM_JOB_NAME": "bash"},
        {**SRUN, "SLURM_JOB_NAME": "interactive"},
    ],
)
def test_a_process_is_alone_unless_others_were_started_with_it(environment):
    assert ranks.of_environment(environment) is None


def test_tasks_must_be_counted_per_machine():
    with pytest.raises(InputError, match="ntasks-per-node"):
        ranks.of_environment(without(SRUN, "SLURM_NTASKS_PER_NODE"))


def test_alone_a_process_agrees_with_itself():
    made = {"a": (1, 2)}
    assert ranks.from_first(lambda: made) is made
    assert ranks.first_number(0.1) == 0.1
    assert ranks.any_of(True) and not ranks.any_of(False)
    assert (ranks.world_size(), ranks.number(), ranks.local_size()) == (1, 0, 1)
    assert ranks.present() is None


def test_all_hear_what_the_first_one_made(in_two_processes):
    def act(number):
        assert ranks.world_size() == 2 and ranks.number() == number == ranks.present().number
        made = {"a": [0.1, float("inf"), None], "ä": "x" * 100_000}
        assert ranks.from_first(lambda: made if number == 0 else pytest.fail("made")) == made
        assert ranks.from_first(lambda: None) is None
        assert ranks.first_number(0.1 + number) == 0.1
        assert ranks.any_of(number == 1) and not ranks.any_of(False)

    in_two_processes(act)


def test_a_failure_of_the_first_one_is_its_own_and_ends_the_others(in_two_processes):
    def fail():
        raise InputError("a damaged file")

    def act(number):
        expected = InputError if number == 0 else ranks.AnotherRankFailed
        with pytest.raises(expected):
            ranks.from_first(fail)

    in_two_processes(act)


def test_one_that_waits_for_a_process_that_is_gone_says_so(in_two_processes):
    def act(number):
        if number == 1:
            import os

            os._exit(3)
        with pytest.raises(RuntimeError) as caught:
            ranks.any_of(True)
        assert ranks._LOST.search(str(caught.value)), str(caught.value)

    in_two_processes(act)

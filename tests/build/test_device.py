import pytest
import torch

from medseg.build.device import (
    check_device,
    check_launched,
    device_count,
    device_name,
    free_memory,
    training_device,
)
from medseg.errors import InputError
from medseg.recipe import load_text


def recipe(**trainer):
    words = [f"trainer.{key}={value}" for key, value in trainer.items()]
    return load_text("seed: 1", overrides=words)


@pytest.fixture
def gpus(monkeypatch):
    """Pretend to have so many GPUs."""

    def have(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda i: f"Big GPU {i}")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

    return have


@pytest.mark.parametrize(
    ("count", "trainer", "device"),
    [
        (0, {}, "cpu"),
        (0, {"accelerator": "cpu"}, "cpu"),
        (2, {"accelerator": "cpu"}, "cpu"),
        (2, {}, "cuda:0"),
        (2, {"accelerator": "gpu"}, "cuda:0"),
        (2, {"accelerator": "cuda", "devices": "[1]"}, "cuda:1"),
        (2, {"devices": "[1]"}, "cuda:1"),
    ],
)
def test_the_device_is_the_one_named(gpus, count, trainer, device):
    gpus(count)
    assert training_device(recipe(**trainer)) == torch.device(device)


@pytest.mark.parametrize(
    ("count", "trainer", "words"),
    [
        (0, {"accelerator": "cuda"}, ["trainer.accelerator is cuda", "the CPU only", "auto"]),
        (0, {"accelerator": "gpu"}, ["trainer.accelerator is gpu", "the CPU only"]),
        (0, {"accelerator": "mps"}, ["trainer.accelerator is mps"]),
        (0, {"devices": "[7]"}, ["no device 7", "the CPU only"]),
        (2, {"devices": "[7]"}, ["no device 7", "below 2", "cuda:1 Big GPU 1"]),
        (2, {"accelerator": "cpu", "devices": "[0]"}, ["no device 0"]),
        (2, {"devices": "3"}, ["3 devices are asked for", "sees 2", "cuda:1 Big GPU 1"]),
        (2, {"devices": "[0, 2]"}, ["no device 2", "below 2"]),
        (2, {"devices": "[1, 1]"}, ["names a device twice"]),
        (0, {"devices": "2"}, ["2 devices are asked for", "sees 0", "trainer.accelerator=cpu"]),
    ],
)
def test_a_device_that_is_not_there_is_refused_naming_what_is(gpus, count, trainer, words):
    gpus(count)
    with pytest.raises(InputError) as caught:
        check_device(recipe(**trainer))
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("count", "trainer"),
    [
        (2, {"devices": "2"}),
        (3, {"devices": "[2, 0]", "accelerator": "gpu"}),
        (0, {"devices": "2", "accelerator": "cpu"}),
    ],
)
def test_as_many_devices_as_there_are_and_processes_on_a_cpu_are_fine(gpus, count, trainer):
    gpus(count)
    check_device(recipe(**trainer))
    assert device_count(recipe(**trainer)) == 2


@pytest.mark.parametrize(
    ("count", "trainer", "local_size", "words"),
    [
        (2, {}, 2, None),
        (2, {"devices": "2"}, 2, None),
        (0, {}, 2, None),
        (4, {"devices": "4"}, 2, "disagree"),
        (4, {"devices": "[0, 1]"}, 2, "disagree"),
        (1, {}, 2, "2 devices are asked for"),
    ],
)
def test_processes_that_were_launched_need_a_device_each(gpus, count, trainer, local_size, words):
    gpus(count)
    if words is None:
        check_launched(recipe(**trainer), local_size)
        return
    with pytest.raises(InputError, match=words):
        check_launched(recipe(**trainer), local_size)


def test_a_cpu_is_named_by_what_this_process_may_use_of_it(monkeypatch):
    monkeypatch.setattr("medseg.build.device.usable_cores", lambda: 3)
    monkeypatch.setattr("medseg.build.device.memory_limit", lambda: 8 * 2**30)
    name = device_name(torch.device("cpu"))
    assert "3 cores" in name and "8 GiB" in name


def test_free_memory_of_the_cpu_is_the_process_s(monkeypatch):
    monkeypatch.setattr("medseg.build.device.memory_available", lambda: 123)
    assert free_memory(torch.device("cpu")) == 123

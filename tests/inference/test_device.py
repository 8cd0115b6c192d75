import pytest
import torch

from medseg.errors import InputError
from medseg.inference import device as device_module
from medseg.inference.device import autocast, choose_device, windows_at_once

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.fixture
def native(monkeypatch):
    """Pretend that neither GPU nor processor, or both, compute in bfloat16."""

    def be(so):
        monkeypatch.setattr(device_module, "has_bf16_instructions", lambda: so)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: so)
        # Without CUDA the context itself only warns and stays off.
        monkeypatch.setattr(torch, "autocast", lambda kind, dtype: (kind, dtype))

    return be


def kind(device, precision):
    found = autocast(device, precision)
    return found[1] if isinstance(found, tuple) else None


@pytest.mark.parametrize("device", [CPU, CUDA])
def test_a_network_predicts_in_the_precision_that_it_was_trained_in(native, device):
    native(True)
    assert kind(device, "bf16-mixed") == torch.bfloat16
    assert kind(device, "32-true") is None and kind(device, "32") is None
    assert kind(device, "64-true") is None
    assert kind(device, "16-mixed") == (torch.float16 if device == CUDA else None)


@pytest.mark.parametrize("device", [CPU, CUDA])
def test_a_device_that_only_emulates_bfloat16_predicts_in_float32(native, device):
    native(False)
    assert kind(device, "bf16-mixed") is None


def test_a_gpu_runs_the_plans_batch_of_windows_and_a_cpu_one():
    assert windows_at_once(None, 4, CUDA) == 4 and windows_at_once(None, 4, CPU) == 1
    assert windows_at_once(3, 4, CUDA) == windows_at_once(3, 4, CPU) == 3


def test_a_word_that_names_no_device_is_answered_with_what_there_is():
    with pytest.raises(InputError, match="'tpu' is not available") as error:
        choose_device("tpu")
    assert "cpu" in error.value.expected and "ipu" not in str(error.value)

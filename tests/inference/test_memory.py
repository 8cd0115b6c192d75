import pytest
import torch

from medseg.errors import InputError
from medseg.inference.memory import is_out_of_memory, require_out_of_memory, within_memory
from medseg.inference.window import SlidingWindow

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        MemoryError(),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be …"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried …"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 7 bytes."),
    ],
)
def test_a_full_memory_is_known_by_all_its_words(error):
    assert is_out_of_memory(error)


def test_other_errors_are_no_full_memory():
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access"))
    assert not is_out_of_memory(ValueError("not enough memory"))


def test_a_full_gpu_is_a_reason_to_go_on_and_a_full_cpu_is_none(caplog):
    full = torch.OutOfMemoryError("CUDA out of memory")
    require_out_of_memory(full, CUDA)
    assert "restoring the grid on the CPU" in caplog.text
    for error, device in ((full, CPU), (RuntimeError("another"), CUDA)):
        with pytest.raises(type(error)):
            require_out_of_memory(error, device)


def test_logits_go_to_the_cpu_first_and_windows_one_by_one_then():
    tried = []

    def attempt(window, gather_on):
        tried.append((window.batch_size, gather_on))
        if len(tried) < 3:
            raise RuntimeError("CUDA error: out of memory")
        return torch.ones(2)

    found = within_memory(attempt, SlidingWindow((8, 8), batch_size=4), CUDA)
    assert tried == [(4, CUDA), (4, CPU), (1, CPU)] and torch.equal(found, torch.ones(2))


def test_a_patch_that_does_not_fit_is_named_and_other_errors_come_through():
    def fail(error):
        def attempt(window, gather_on):
            raise error

        return within_memory(attempt, SlidingWindow((8, 8)), CUDA)

    with pytest.raises(InputError, match="not enough for one patch"):
        fail(torch.OutOfMemoryError())
    with pytest.raises(RuntimeError, match="mat1"):
        fail(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))

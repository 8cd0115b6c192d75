import gc
import random
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from medseg.labels import LabelScheme
from medseg.networks import ResidualUNet, UNet
from medseg.tasks import SegmentationTask
from medseg.training.dry_step import OutOfMemory, dry_step, saved_bytes, synthetic_batch

LABELS = LabelScheme({"background": 0, "a": 1, "b": 2})
REGIONS = LabelScheme(
    {"background": 0, "a": 1, "b": 2}, regions={"all": (1, 2), "core": (2,)}, order=(1, 2)
)


class Dropout(nn.Module):
    """A network that draws from every global generator."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(1, 3, 1)

    def forward(self, x):
        np.random.rand()
        random.random()
        return nn.functional.dropout(self.conv(x), 0.5)


def task(network=None, labels=LABELS, **options):
    network = network or UNet(
        spatial_dims=3, in_channels=1, num_classes=labels.num_outputs, features=(4, 8)
    )
    return SegmentationTask(network, labels, **options)


def batch(size=2, patch=(16, 16, 16)):
    return synthetic_batch(size, 1, patch, num_labels=3)


@pytest.mark.parametrize("labels", [LABELS, REGIONS], ids=["classes", "regions"])
def test_a_step_takes_time_and_leaves_the_optimiser_stepped(labels):
    one = task(labels=labels)
    before = [p.clone() for p in one.network.parameters()]
    found = dry_step(one, batch())
    assert 0 < found.forward_seconds < found.seconds
    assert any(not torch.equal(a, b) for a, b in zip(before, one.network.parameters(), strict=True))


def test_every_random_generator_is_left_as_it_was():
    one, network = task(Dropout(), ema=None), Dropout()
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    dry_step(one, batch())
    saved_bytes(network, (1, 1, 8, 8, 8))
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[1]).all()
    assert torch.equal(torch.get_rng_state(), states[2])


def test_the_memory_of_a_step_is_at_least_what_it_keeps_for_the_backward_pass():
    one = task()
    kept = saved_bytes(one.network, (2, 1, 64, 64, 64))
    assert dry_step(one, batch(patch=(64, 64, 64))).bytes > 0.9 * kept > 10 * 2**20


def test_a_step_leaves_nothing_that_only_the_garbage_collector_frees():
    one = task()
    left = weakref.ref(one.network)
    gc.disable()
    try:
        dry_step(one, batch())
        del one
        assert left() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried …"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 7 bytes."),
        MemoryError("no"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously …"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_what_torch_says_of_a_full_memory_is_out_of_memory(error):
    class Full(Dropout):
        def forward(self, x):
            raise error

    with pytest.raises(OutOfMemory) as caught:
        dry_step(task(Full(), ema=None), batch())
    assert caught.value.__context__ is None  # its frames would keep the step's tensors


def test_other_errors_of_a_network_come_through():
    class Broken(Dropout):
        def forward(self, x):
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        dry_step(task(Broken(), ema=None), batch())


@pytest.mark.parametrize("kind", [UNet, ResidualUNet])
def test_saved_bytes_are_those_that_a_real_forward_pass_saves(kind):
    network = kind(spatial_dims=3, in_channels=2, num_classes=3, features=(4, 8, 16)).train()
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage, storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        out = network(torch.randn(1, 2, 16, 24, 16))
    assert out.requires_grad
    real = sum(size for _, size in kept.values())
    assert saved_bytes(network, (1, 2, 16, 24, 16)) == pytest.approx(real, rel=0.05)
    assert saved_bytes(network, (3, 2, 16, 24, 16)) == pytest.approx(3 * real, rel=0.1)


def test_a_network_that_looks_at_values_gives_no_count():
    class Curious(Dropout):
        def forward(self, x):
            return self.conv(x) if float(x.mean()) > 0 else self.conv(-x)

    assert saved_bytes(Curious(), (1, 1, 8, 8, 8)) is None


def test_noise_is_the_same_every_time_and_labels_are_indices():
    one, other = batch(), batch()
    assert torch.equal(one.image, other.image)
    assert one.label.dtype == torch.uint8 and int(one.label.max()) == 2

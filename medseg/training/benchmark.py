"""How fast a device trains small U-Nets, found in a second or two."""

from __future__ import annotations

import time

import torch

from medseg.networks.unet import UNet
from medseg.planning.cost import Speed, convolutions, step_flops
from medseg.planning.memory import plain_activations
from medseg.training import rng
from medseg.training.waiting import wait_for

_NARROW, _WIDE = 8, 32
# Voxels per axis: a GPU needs large patches to be busy, a CPU is so at once.
_EDGE = {("cpu", 3): 20, ("cpu", 2): 96, ("gpu", 3): 64, ("gpu", 2): 256}
_TINY_EDGE = 16
_BATCH = 2
_STAGES = 3
_REPEATS = {"cpu": 2, "gpu": 5}
_PATIENCE = 1.0  # seconds for each of the networks
# What happens around each step (loader, augmentation, logging) takes about as long again as
# starting its kernels.
_AROUND_A_STEP = 2.0


def measure_speed(
    device: torch.device | str, *, spatial_dims: int = 3, precision: str = "32"
) -> Speed:
    """Time steps of a narrow and of a wide network and part operations from memory traffic.

    Args:
        device: where to train.
        spatial_dims: of the convolutions.
        precision: as for Lightning.
    """
    device = torch.device(device)
    kind = "cpu" if device.type == "cpu" else "gpu"
    edge, dims = _EDGE[kind, spatial_dims], spatial_dims
    states = rng.capture()
    try:
        overhead = 0.0
        if kind == "gpu":
            overhead = _seconds(device, _NARROW, _TINY_EDGE, dims, precision)
        narrow = max(_seconds(device, _NARROW, edge, dims, precision) - overhead, 1e-6)
        wide = max(_seconds(device, _WIDE, edge, dims, precision) - overhead, 1e-6)
    finally:
        rng.restore(states)
    few, many = _flops(_NARROW, edge, dims), _flops(_WIDE, edge, dims)
    light, heavy = _values(_NARROW, edge, dims), _values(_WIDE, edge, dims)
    # narrow = few / flops + light / values, and the same of the wide network.
    per_flop = (wide - narrow * heavy / light) / (many - few * heavy / light)
    per_flop = min(max(per_flop, 0.2 * wide / many), wide / many)
    per_value = max(0.0, (wide - per_flop * many) / heavy)
    return Speed(
        flops=1 / per_flop,
        values=1 / per_value if per_value else float("inf"),
        overhead=_AROUND_A_STEP * overhead,
    )


def _seconds(device: torch.device, width: int, edge: int, dims: int, precision: str) -> float:
    network = UNet(spatial_dims=dims, in_channels=1, num_classes=3, features=_features(width)).to(
        device
    )
    image = torch.randn(_BATCH, 1, *[edge] * dims, device=device)
    kind = torch.bfloat16 if precision.startswith("bf16") else torch.float16

    def step() -> float:
        wait_for(device)
        started, worked = time.perf_counter(), time.process_time()
        with torch.autocast(device.type, dtype=kind, enabled=precision.endswith("mixed")):
            loss = network(image).float().square().mean()
        loss.backward()
        wait_for(device)
        seconds = time.perf_counter() - started
        if device.type != "cpu":
            return seconds
        # Of a machine that is busy for a moment this is nearer to what it does later.
        return min(seconds, (time.process_time() - worked) / torch.get_num_threads())

    step()  # loads libraries, for a second or more
    repeats = _REPEATS["cpu" if device.type == "cpu" else "gpu"]
    began, best = time.perf_counter(), step()
    for _ in range(repeats - 1):
        if time.perf_counter() - began > _PATIENCE:
            break
        best = min(best, step())
    return best


def _features(width: int) -> tuple[int, ...]:
    return tuple(width * 2**stage for stage in range(_STAGES))


def _flops(width: int, edge: int, dims: int) -> int:
    strides = ((1,) * dims, *[(2,) * dims] * (_STAGES - 1))
    kernels = [(3,) * dims] * _STAGES
    network = convolutions(
        (edge,) * dims, strides, kernels, _features(width), in_channels=1, num_classes=3
    )
    return step_flops(network, batch_size=_BATCH)


def _values(width: int, edge: int, dims: int) -> int:
    strides = ((1,) * dims, *[(2,) * dims] * (_STAGES - 1))
    return _BATCH * plain_activations((edge,) * dims, strides, _features(width), num_classes=3)

"""Muon for convolutional networks: orthogonalised momentum for the kernels, AdamW for the rest."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.adamw import adamw

_QUINTIC = (3.4445, -4.7750, 2.0315)


class Muon(Optimizer):
    """Steps kernels along their orthogonalised momentum, and the rest as AdamW does.

    A kernel ``(out, in, *K)`` is read as the matrix ``(out, in · prod(K))``. Norms, biases, and
    kernels with fewer than ``min_channels`` input or output channels (the first layer and heads)
    are stepped by AdamW. On matrices it agrees with `torch.optim.Muon`,
    which takes nothing else. Jordan et al. 2024, https://kellerjordan.github.io/posts/muon.

    Args:
        params: parameters or groups of them.
        lr: learning rate; with ``scale="adamw"`` about what AdamW would be given.
        weight_decay: decoupled, as AdamW's.
        momentum: of the matrices.
        nesterov: look ahead by one step of the momentum.
        steps: Newton-Schulz iterations.
        scale: ``adamw``: a step's root mean square is 0.2 · lr, as AdamW's is (Liu et al., arXiv
            2502.16982); ``original``: lr · sqrt(max(1, out / in)).
        adamw_lr: learning rate of what AdamW steps; ``None``: ``lr``.
        adamw_weight_decay: of what AdamW steps; ``None``: ``weight_decay``.
        betas: of AdamW.
        eps: of AdamW.
        min_channels: narrower kernels are left to AdamW.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float = 3e-3,
        *,
        weight_decay: float = 1e-2,
        momentum: float = 0.95,
        nesterov: bool = True,
        steps: int = 5,
        scale: Literal["adamw", "original"] = "adamw",
        adamw_lr: float | None = None,
        adamw_weight_decay: float | None = None,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        min_channels: int = 8,
    ) -> None:
        if scale not in ("adamw", "original"):
            raise ValueError(f"scale must be 'adamw' or 'original', not {scale!r}")
        rates = {"lr": lr, "adamw_lr": adamw_lr or 0.0, "eps": eps}
        decays = {"weight_decay": weight_decay, "adamw_weight_decay": adamw_weight_decay or 0.0}
        for name, value in {**rates, **decays}.items():
            if not 0.0 <= value < math.inf:
                raise ValueError(f"{name} must be finite and not negative, got {value}")
        if len(betas) != 2 or not all(0.0 <= factor < 1.0 for factor in (momentum, *betas)):
            raise ValueError(
                f"momentum and two betas must lie in [0, 1), got {momentum} and {list(betas)}"
            )
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "steps": steps,
            "scale": scale,
            "betas": tuple(betas),
            "eps": eps,
        }
        groups: list[dict[str, Any]] = []
        for group in _groups(params):
            chosen = list(group.pop("params"))
            wide = [p for p in chosen if p.ndim >= 2 and min(p.shape[:2]) >= min_channels]
            known = set(map(id, wide))
            rest = [p for p in chosen if id(p) not in known]
            if wide:
                groups.append({**group, "params": wide, "orthogonal": True})
            if rest:
                own = {"lr": adamw_lr, "weight_decay": adamw_weight_decay}
                own = {key: value for key, value in own.items() if value is not None}
                groups.append({**group, **own, "params": rest, "orthogonal": False})
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Take one step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                (self._orthogonal if group["orthogonal"] else self._adamw)(group, parameters)
        return loss

    def _orthogonal(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        gradients: list[Any] = [p.grad for p in parameters]
        for p in parameters:
            if "momentum" not in self.state[p]:
                self.state[p]["momentum"] = torch.zeros_like(p)
        buffers = [self.state[p]["momentum"] for p in parameters]
        torch._foreach_lerp_(buffers, gradients, 1.0 - group["momentum"])
        if group["nesterov"]:
            updates = list(torch._foreach_lerp(gradients, buffers, group["momentum"]))
        else:
            updates = buffers
        torch._foreach_mul_(parameters, 1.0 - group["lr"] * group["weight_decay"])
        # Kernels of one shape go through the iteration as one batch: a GPU is not starved by
        # dozens of small products.
        alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for i, parameter in enumerate(parameters):
            alike[tuple(parameter.shape)].append(i)
        for shape, indices in alike.items():
            matrices = torch.stack([updates[i].reshape(shape[0], -1) for i in indices])
            rate = group["lr"] * _factor(matrices.shape[-2], matrices.shape[-1], group["scale"])
            matrices = orthogonalise(matrices, steps=group["steps"])
            for i, matrix in zip(indices, matrices.unbind(), strict=True):
                parameters[i].add_(matrix.reshape(shape), alpha=-rate)

    def _adamw(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        for p in parameters:
            if not self.state[p]:
                self.state[p] = {
                    # Float32 beside the parameter's device, as torch keeps it.
                    "step": torch.zeros((), dtype=torch.float32),
                    "exp_avg": torch.zeros_like(p),
                    "exp_avg_sq": torch.zeros_like(p),
                }
        states = [self.state[p] for p in parameters]
        adamw(
            parameters,
            [p.grad for p in parameters if p.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )


def orthogonalise(matrices: Tensor, *, steps: int = 5, dtype: torch.dtype | None = None) -> Tensor:
    """Bring the singular values of ``(N, rows, columns)`` near 1, by Newton-Schulz iteration.

    Each step maps a singular value s to 3.4445 s - 4.7750 s³ + 2.0315 s⁵, which settles between
    about 0.7 and 1.2.

    Args:
        matrices: the matrices; scaled to Frobenius norm 1 first.
        steps: iterations.
        dtype: to compute in; ``None``: bfloat16 on CUDA, else float32, which CPUs are faster in.
    """
    chosen = dtype or (torch.bfloat16 if matrices.is_cuda else torch.float32)
    x = matrices.to(chosen)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    # Squared singular values need more digits than bfloat16 has.
    long = x.shape[-1] >= 2 * x.shape[-2] and chosen != torch.bfloat16
    x = _by_gram_matrix(x, steps) if long else _directly(x, steps)
    return (x.mT if tall else x).to(matrices.dtype)


def _directly(x: Tensor, steps: int) -> Tensor:
    a, b, c = _QUINTIC
    for _ in range(steps):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x


def _by_gram_matrix(x: Tensor, steps: int) -> Tensor:
    """Iterate on x·xᵀ alone: every step is a polynomial in it, and all of them commute.

    Kernels have many more columns than rows, so this takes half the time.
    """
    a, b, c = _QUINTIC
    gram = x @ x.mT
    identity = torch.eye(gram.shape[-1], dtype=x.dtype, device=x.device).expand_as(gram)
    product = identity
    for step in range(steps):
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c) + a * identity
        product = polynomial @ product if step else polynomial
        if step < steps - 1:
            gram = polynomial @ gram @ polynomial
    return product @ x


def _factor(rows: int, columns: int, scale: str) -> float:
    if scale == "adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1.0, rows / columns))


def _groups(params: Iterable[Any]) -> list[dict[str, Any]]:
    items = list(params)
    if items and isinstance(items[0], dict):
        return [dict(item) for item in items]
    return [{"params": items}]

"""One optimiser and one schedule for all steps of the recipe, with state that saves as tensors."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.distributed as distributed
from torch import Tensor, nn


def trapezoid(step: int, steps: int, warmup: int, decay: float) -> float:
    """Learning rate factor: linear up, flat, and down to zero over the last ``decay`` share.

    The flat part does not depend on ``steps``, so a run can be prolonged from a checkpoint.
    """
    up = min(1.0, (step + 1) / max(1, warmup))
    down = min(1.0, (steps - step) / max(1.0, decay * steps))
    return max(0.0, min(up, down))


def orthogonal(matrix: Tensor, iterations: int = 5) -> Tensor:
    """The nearest matrix with equal singular values, roughly: Newton-Schulz on the last two axes.

    The quintic's coefficients (Jordan and others, 2024, "Muon") trade exactness for speed:
    singular values end between .7 and 1.2.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[-2] > matrix.shape[-1]
    x = matrix.mT if tall else matrix
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Optimiser:
    """Muon for the ``matrices``, AdamW for all other parameters.

    Muon's update is scaled to Adam's usual size (root mean square .2), so that one learning rate
    serves both. Momentum .95 with look-ahead; Adam's betas (.9, .99). ``bfloat16`` is for Muon's
    products alone.
    """

    def __init__(
        self,
        named: Iterable[tuple[str, nn.Parameter]],
        rate: float,
        muon: bool,
        decay: float = 0.0,
        bfloat16: bool = False,
    ) -> None:
        self.rate, self.weight_decay = rate, decay
        self.product_dtype = torch.bfloat16 if bfloat16 else torch.float32
        self.named = {name: p for name, p in named if p.requires_grad}
        edge = _edges(self.named)
        self.matrices = [
            n for n, p in self.named.items() if muon and p.ndim in (2, 4) and n not in edge
        ]
        others = [n for n in self.named if n not in set(self.matrices)]
        self.momentum = {n: torch.zeros_like(self.named[n]) for n in self.matrices}
        self.first = {n: torch.zeros_like(self.named[n]) for n in others}
        self.second = {n: torch.zeros_like(self.named[n]) for n in others}
        self.count = 0

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """One update at ``factor`` times the rate; clears the gradients."""
        self.count += 1
        rate = self.rate * factor
        self._adam(rate)
        updates = self._directions()
        for name, update in updates.items():
            parameter = self.named[name]
            parameter.mul_(1 - rate * self.weight_decay)
            parameter.sub_(update.view(parameter.shape), alpha=rate)
        for parameter in self.named.values():
            parameter.grad = None

    def _directions(self) -> dict[str, Tensor]:
        """Muon's updates by name. Workers hold the same gradients and each computes a share."""
        groups: dict[tuple[int, int], list[str]] = {}
        for name in self.matrices:
            gradient, momentum = self.named[name].grad, self.momentum[name]
            assert gradient is not None
            momentum.lerp_(gradient, 0.05)
            shape = gradient.flatten(1).shape
            groups.setdefault((shape[0], shape[1]), []).append(name)
        workers = distributed.get_world_size() if distributed.is_initialized() else 1
        rank = distributed.get_rank() if workers > 1 else 0
        updates: dict[str, Tensor] = {}
        for shape, names in groups.items():
            mine = names[rank::workers]
            looked_ahead = [self.named[n].grad.lerp(self.momentum[n], 0.95) for n in mine]
            scale = 0.2 * math.sqrt(max(shape))
            if not mine:
                continue
            stack = torch.stack([g.flatten(1) for g in looked_ahead])
            found = orthogonal(stack.to(self.product_dtype)).float()
            updates |= {n: scale * update for n, update in zip(mine, found, strict=True)}
        if workers > 1:
            sizes = [self.named[n].numel() for n in self.matrices]
            flat = torch.cat(
                [
                    updates[n].flatten() if n in updates else torch.zeros(size)
                    for n, size in zip(self.matrices, sizes, strict=True)
                ]
            )
            distributed.all_reduce(flat)
            updates = dict(zip(self.matrices, flat.split(sizes), strict=True))
        return updates

    def _adam(self, rate: float) -> None:
        names = [n for n in self.first if self.named[n].grad is not None]
        if not names:
            return
        parameters = [self.named[n] for n in names]
        gradients = [p.grad for p in parameters]
        first, second = [self.first[n] for n in names], [self.second[n] for n in names]
        torch._foreach_lerp_(first, gradients, 0.1)
        torch._foreach_mul_(second, 0.99)
        torch._foreach_addcmul_(second, gradients, gradients, 0.01)
        scale = torch._foreach_div(second, 1 - 0.99**self.count)
        torch._foreach_sqrt_(scale)
        torch._foreach_add_(scale, 1e-8)
        torch._foreach_mul_(parameters, 1 - rate * self.weight_decay)
        torch._foreach_addcdiv_(parameters, first, scale, -rate / (1 - 0.9**self.count))

    def state(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs, as flat tensors."""
        found = {"count": torch.tensor(self.count)}
        for kind in ("momentum", "first", "second"):
            found |= {f"{kind}.{n}": value for n, value in getattr(self, kind).items()}
        return found

    def load(self, state: dict[str, Tensor]) -> None:
        """Takes up a saved ``state``."""
        self.count = int(state["count"])
        for kind in ("momentum", "first", "second"):
            for name, value in getattr(self, kind).items():
                value.copy_(state[f"{kind}.{name}"])


def _edges(named: dict[str, nn.Parameter]) -> set[str]:
    """First and last weight and all embeddings: Adam suits them better than Muon."""
    weights = [n for n, p in named.items() if p.ndim in (2, 4)]
    edge = {n for n in weights if "embedding" in n.lower() or "conv_in" in n or "conv_out" in n}
    return edge | {weights[0], weights[-1]} if weights else edge

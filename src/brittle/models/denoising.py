"""What a denoiser is trained to do: undo the noise that latents are put under, at one timestep."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from brittle import noise
from brittle.errors import UserError
from brittle.models.edit_model import EditModel
from brittle.models.flow_schedulers import FLOW, training_levels

Timesteps = tuple[int, int]
"""The first and the last timestep of those that are drawn from evenly; two equal ones fix it."""


@dataclass(frozen=True)
class Draw:
    """The noise (N, C, h, w) that latents are put under, and the timestep (N,) of each row."""

    noise: Tensor
    times: Tensor


@dataclass(frozen=True)
class DenoisingTask:
    """The noise levels (T,) of a model, and what its denoiser predicts: noise, velocity or flow.

    What a denoiser says of `noisy` latents is compared with what is `wanted` of it; `errors` is the
    loss that it was trained with. All of it is differentiable.
    """

    signal: Tensor
    """How much of the clean latents is in noisy ones, by level; on the CPU."""
    spread: Tensor
    """How much of the noise is."""
    timesteps: Tensor
    """What the denoiser is told of each level."""
    prediction: str

    def __len__(self) -> int:
        """How many levels there are."""
        return len(self.signal)

    @classmethod
    def of(cls, model: EditModel) -> Self:
        """The task of a model's denoiser.

        Raises:
            UserError: it predicts something else, or its scheduler clips.
        """
        if model.denoiser.scheduler_name(None) == FLOW:
            levels, timesteps = training_levels(model.scheduler_config)
            return cls(1 - levels, levels, timesteps, FLOW)
        schedule: Any = model.schedule("ddim", num_inference_steps=1)
        if not schedule.differentiable:
            raise UserError(
                f"{model.name} has no denoising loss to learn from or to raise: what its denoiser "
                f"predicts ({model.scheduler_config.get('prediction_type')}) is neither noise nor "
                f"velocity, or its scheduler clips."
            )
        alphas = schedule.alphas
        steps = torch.arange(len(alphas))
        return cls(alphas.sqrt(), (1 - alphas).sqrt(), steps, schedule.prediction)

    def draw(
        self,
        latents: Tensor,
        streams: Sequence[torch.Generator],
        timesteps: Timesteps | None = None,
    ) -> Draw:
        """Noise for latents (N, C, h, w) and a level for each, row i drawn from stream i.

        ``timesteps`` None draws from all.
        """
        first, last = timesteps or (0, len(self) - 1)
        drawn = noise.gaussian(latents.shape[1:], streams).to(latents)
        times = [torch.randint(first, last + 1, (1,), generator=stream) for stream in streams]
        return Draw(drawn, torch.cat(times))

    def noisy(self, clean: Tensor, draw: Draw) -> Tensor:
        """Clean latents (N, C, h, w) under the noise that was drawn."""
        signal, spread = self._shares(clean, draw)
        return signal * clean + spread * draw.noise

    def told(self, draw: Draw) -> Tensor:
        """The timestep (N,) that the denoiser is told with each row."""
        return self.timesteps[draw.times].to(draw.noise.device)

    def wanted(self, clean: Tensor, draw: Draw) -> Tensor:
        """What the denoiser should say of `noisy` (N, C, h, w): noise, velocity or direction."""
        if self.prediction == FLOW:
            return draw.noise - clean
        if self.prediction != "v_prediction":
            return draw.noise
        signal, spread = self._shares(clean, draw)
        return signal * draw.noise - spread * clean

    def errors(self, output: Tensor, clean: Tensor, draw: Draw) -> Tensor:
        """How far the denoiser's ``output`` is from what is wanted, (N,), a mean of squares."""
        return (output.to(clean) - self.wanted(clean, draw)).square().flatten(1).mean(1)

    def noise_errors(self, output: Tensor, clean: Tensor, draw: Draw) -> Tensor:
        """The noise that the denoiser finds minus the one that was drawn, (N, C, h, w)."""
        error = output - self.wanted(clean, draw)
        if self.prediction not in ("v_prediction", FLOW):
            return error
        signal, _ = self._shares(clean, draw)
        return signal * error

    def _shares(self, clean: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        signal, spread = (
            share[draw.times].view(-1, 1, 1, 1).to(clean.device)
            for share in (self.signal, self.spread)
        )
        return signal, spread

"""What a denoiser is trained to do: undo the noise that latents are put under, at one timestep."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from brittle import noise
from brittle.errors import UserError
from brittle.models.edit_model import EditModel
from brittle.models.flow_schedulers import FLOW

Timesteps = tuple[int, int]
"""The first and the last timestep of those that are drawn from evenly; two equal ones fix it."""


@dataclass(frozen=True)
class Draw:
    """The noise (N, C, h, w) that latents are put under, and the timestep (N,) of each row."""

    noise: Tensor
    times: Tensor


@dataclass(frozen=True)
class DenoisingTask:
    """The noise levels (T,) of a model, and whether its denoiser predicts noise or velocity.

    What a denoiser says of `noisy` latents is compared with what is `wanted` of it; `errors` is the
    loss that it was trained with. All of it is differentiable.
    """

    alphas: Tensor
    """The share of the variance that is signal, by timestep; on the CPU."""
    prediction: str

    @classmethod
    def of(cls, model: EditModel) -> Self:
        """The task of a model's denoiser.

        Raises:
            UserError: it predicts something else, as in flow matching, or its scheduler clips.
        """
        if model.denoiser.scheduler_name(None) == FLOW:
            raise UserError(
                f"{model.name} denoises by flow matching, and brittle knows the denoising loss of "
                f"models of Stable Diffusion 1.x's and 2.x's kind: name another model."
            )
        schedule: Any = model.schedule("ddim", num_inference_steps=1)
        if not schedule.differentiable:
            raise UserError(
                f"{model.name} has no denoising loss to learn from or to raise: what its denoiser "
                f"predicts ({model.scheduler_config.get('prediction_type')}) is neither noise nor "
                f"velocity, or its scheduler clips."
            )
        return cls(schedule.alphas, schedule.prediction)

    def draw(
        self,
        latents: Tensor,
        streams: Sequence[torch.Generator],
        timesteps: Timesteps | None = None,
    ) -> Draw:
        """Noise for latents (N, C, h, w) and a timestep for each, row i drawn from stream i.

        ``timesteps`` None draws from all.
        """
        first, last = timesteps or (0, len(self.alphas) - 1)
        drawn = noise.gaussian(latents.shape[1:], streams).to(latents)
        times = [torch.randint(first, last + 1, (1,), generator=stream) for stream in streams]
        return Draw(drawn, torch.cat(times))

    def noisy(self, clean: Tensor, draw: Draw) -> Tensor:
        """Clean latents (N, C, h, w) under the noise that was drawn."""
        alpha = self._alpha(clean, draw)
        return alpha.sqrt() * clean + (1 - alpha).sqrt() * draw.noise

    def wanted(self, clean: Tensor, draw: Draw) -> Tensor:
        """What the denoiser should say of `noisy` (N, C, h, w): the noise, or the velocity."""
        if self.prediction != "v_prediction":
            return draw.noise
        alpha = self._alpha(clean, draw)
        return alpha.sqrt() * draw.noise - (1 - alpha).sqrt() * clean

    def errors(self, output: Tensor, clean: Tensor, draw: Draw) -> Tensor:
        """How far the denoiser's ``output`` is from what is wanted, (N,), a mean of squares."""
        return (output.to(clean) - self.wanted(clean, draw)).square().flatten(1).mean(1)

    def noise_errors(self, output: Tensor, clean: Tensor, draw: Draw) -> Tensor:
        """The noise that the denoiser finds minus the one that was drawn, (N, C, h, w)."""
        error = output - self.wanted(clean, draw)
        if self.prediction != "v_prediction":
            return error
        return self._alpha(clean, draw).sqrt() * error

    def _alpha(self, clean: Tensor, draw: Draw) -> Tensor:
        return self.alphas[draw.times].view(-1, 1, 1, 1).to(clean.device)

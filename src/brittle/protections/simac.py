"""SimAC: Anti-DreamBooth at timesteps that are chosen for each picture, and by features too."""

from dataclasses import replace
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from brittle.budgets import Budget, LinfBudget
from brittle.component import Fraction, register
from brittle.images import Mask
from brittle.models import EditModel
from brittle.models.surrogate import Surrogate
from brittle.protections.surrogate_loop import Exposed, WholeSurrogateLoop
from brittle.protections.update import Update


@register
class SimAC(WholeSurrogateLoop):
    """ASPL at chosen timesteps, which also moves features of the denoiser away from the photo's.

    Maximises L + feature_weight · mean (f(x + δ) − f(x))² against Anti-DreamBooth's copy of the
    surrogate: L is the denoising loss, f what the residual layers of the UNet's last upward block
    compute under the same noise and timestep. With ``feature_weight`` 0 features aren't computed.

    A picture's timesteps are chosen before the first round, against the model as it is: in each of
    at most ``search_steps``, the gradients of L at ``candidates`` timesteps drawn from those that
    remain are compared by the sum of their absolute values. ``window`` timesteps on either side of
    the smallest are left out from then on, and a copy of the picture takes a step at the largest.
    It ends when at most ``kept`` remain, from which each step of PGD draws. See `SurrogateLoop`.
    """

    name = "simac"
    source = "SimAC (Wang et al. 2023, arXiv:2312.07865)"
    rehearses = True

    budget: Budget = LinfBudget(radius=8 / 255)
    rounds: int = Field(50, ge=1)
    steps: int = Field(6, ge=1)
    step_size: Fraction = Field(0.0025, gt=0, allow_inf_nan=False)
    training_steps: int = Field(3, ge=0)
    learning_rate: float = Field(5e-7, gt=0, allow_inf_nan=False)
    instance_prompt: str = "a photo of sks"
    feature_weight: float = Field(1.0, ge=0, allow_inf_nan=False)
    search_steps: int = Field(50, ge=0)
    candidates: int = Field(5, ge=1)
    window: int = Field(20, ge=1)
    kept: int = Field(100, ge=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if 2 * self.window > self.kept:
            raise ValueError(
                f"kept={self.kept} and window={self.window}: a step of the search could leave out "
                "all timesteps, so kept must be at least twice window"
            )
        return self

    @property
    def denoiser_gradients(self) -> int:
        """One a gradient, and as many as the search for timesteps takes at most."""
        return self.gradients + self.search_steps * (self.candidates + 1)

    def expose(
        self,
        model: EditModel,
        surrogate: Surrogate,
        image: Tensor,
        mask: Mask,
        stream: torch.Generator,
    ) -> Exposed:
        """See `SurrogateLoop.expose`; chooses the timesteps."""
        every = super().expose(model, surrogate, image, mask, stream)
        remaining, last = every.timesteps, len(every.timesteps) - self.window
        keep = None if mask is None else 1 - mask
        update = Update(self.budget, image, keep, [self.step_size] * self.search_steps)
        picture = image
        for step in range(self.search_steps):
            if len(remaining) <= self.kept:
                break
            among = replace(every, timesteps=remaining)
            tried = [_gradient(model, among, picture) for _ in range(self.candidates)]
            tried.sort(key=lambda one: float(one[0].abs().sum()))
            weakest, strongest = tried[0][1], tried[-1][1]
            centre = weakest.clamp(min(self.window, last), last)
            within = (remaining >= centre - self.window) & (remaining < centre + self.window)
            gradient, _ = _gradient(model, replace(every, timesteps=strongest), picture)
            picture, remaining = update(picture, gradient, step), remaining[~within]
        return replace(every, timesteps=remaining)

    def objective(
        self, model: EditModel, perturbed: Tensor, image: Tensor, *, prepared: Exposed, **_: Any
    ) -> Tensor:
        """Minus the denoising loss and the weighted distance of features, (N,)."""
        surrogate = prepared.surrogate
        latents = model.encode_to_attack(model.fit(perturbed))
        draw = prepared.draw(latents)
        with surrogate.listening() as heard:
            loss = -surrogate.errors(latents, draw)
        if self.feature_weight == 0:
            return loss
        with torch.no_grad(), surrogate.listening() as clean:
            surrogate.output(model.encode_to_attack(model.fit(image)), draw)
        distances = [
            (one.float() - other.float()).square().flatten(1).mean(1)
            for one, other in zip(heard, clean, strict=True)
        ]
        return loss - self.feature_weight * torch.stack(distances).mean(0)


def _gradient(model: EditModel, exposed: Exposed, picture: Tensor) -> tuple[Tensor, Tensor]:
    """That of minus the denoising loss of a picture (1, 3, H, W), and the timestep (1,) drawn."""
    with torch.enable_grad():
        shown = picture.detach().requires_grad_()
        latents = model.encode_to_attack(model.fit(shown))
        draw = exposed.draw(latents)
        loss = -exposed.surrogate.errors(latents, draw)
        return torch.autograd.grad(loss.sum(), shown)[0], draw.times

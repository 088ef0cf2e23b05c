"""Purifiers: what somebody with an edit model can do to a received file before editing it.

They see the picture as the model does, at the model's size, and bring the result back to the
picture's own: a photo larger than that loses its finer detail.
"""

import math
from dataclasses import replace
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from brittle.component import Fraction, register
from brittle.errors import UserError, needed
from brittle.images import quantise, stretch
from brittle.models import EditModel, chain
from brittle.networks.efficientnet import perceptual_distance
from brittle.noise import gaussian
from brittle.transforms.base import Capabilities, Transform


class Purifier(Transform):
    """A transform that runs a model; a subclass writes `purify`."""

    needs_denoiser: ClassVar[bool] = False

    @property
    def capabilities(self) -> Capabilities:
        """See `Transform.capabilities`."""
        return Capabilities(needs_model=True, needs_denoiser=self.needs_denoiser)

    def receive_with(self, model: EditModel | None, image: Tensor, *, seed: int | None) -> Tensor:
        """One image (1, 3, H, W) purified, at its own size and on the 8-bit grid.

        Raises:
            UserError: what comes out isn't numbers.
        """
        assert model is not None, "checked"
        seen = model.fit(image).to(model.device)
        purified = self.purify(model, seen, seed=seed).clamp(0, 1).to(image)
        model.settle()
        if not purified.isfinite().all():
            raise UserError(
                f"{self.name} produced values that aren't numbers on this model: try float32, or a "
                "milder setting."
            )
        return quantise(stretch(purified, image.shape[-2:]))

    def purify(self, model: EditModel, image: Tensor, *, seed: int | None) -> Tensor:
        """One fitted image (1, 3, h, w) in [0, 1] purified; not clamped, without gradients.

        It is on the model's device.
        """
        raise NotImplementedError


@register
class Denoise(Purifier):
    """Noised to a strength and denoised by the edit model, with an empty prompt and no guidance.

    Equals the editor img2img with that prompt and a guidance of 1, on the model's own scheduler.
    ``strength`` of ``num_inference_steps`` evaluations run.
    """

    name = "denoise"
    draws = True
    source = "after SDEdit (arXiv:2108.01073) and DiffPure (arXiv:2205.07460)"
    example = "denoise:strength=0.1"
    needs_denoiser = True

    strength: Annotated[float, Field(gt=0, le=1)]
    num_inference_steps: Annotated[int, Field(strict=True, ge=1)] = 50

    def evaluations(self, model: EditModel) -> int:
        """As `Transform.evaluations`."""
        schedule = model.schedule(
            num_inference_steps=self.num_inference_steps, strength=self.strength
        )
        return len(schedule.timesteps)

    def purify(self, model: EditModel, image: Tensor, *, seed: int | None) -> Tensor:
        """As `Purifier.purify`."""
        plan = chain.plan(
            model,
            prompts=[""],
            streams=self.stream(seed),
            shape=image.shape[-2:],
            num_inference_steps=self.num_inference_steps,
            strength=self.strength,
            guidance_scale=1,
        )
        return chain.finish(model, chain.start(model, plan, image), plan)


@register
class Autoencode(Purifier):
    """Through the model's autoencoder: encoded, by the mean of its latents, and decoded.

    ``times`` round trips follow each other at the model's size, clipped to [0, 1] between and not
    rounded; `autoencode+autoencode` passes an 8-bit file of the photo's size between them.
    """

    name = "autoencode"
    example = "autoencode"

    times: Annotated[int, Field(strict=True, ge=1, le=100)] = 1

    def purify(self, model: EditModel, image: Tensor, *, seed: int | None) -> Tensor:
        """As `Purifier.purify`."""
        for _ in range(self.times):
            image = model.decode(model.encode(image.clamp(0, 1)))
        return image


@register
class Impress(Purifier):
    """Moved to where the autoencoder gives back what it is given, and kept near the received file.

    Adam lowers mse(D(E(x)), x) + ``alpha`` max(d(x, received) - ``eps``, 0) from the received file
    with normal noise of deviation ``noise`` on it; the rate falls from ``learning_rate`` on a
    cosine. mse is in units of [-1, 1]; noise and rate are in [0, 1] units. Steps, rate, noise and
    alpha x d are those of the authors' public scripts against PhotoGuard (1,000 steps, and in
    [-1, 1] units a rate of 0.005 and noise of 0.05; LPIPS with eps 0.1 and alpha 0.01).

    Four things differ. d is brittle's perceptual distance, which needs no download, in place of
    LPIPS: other features, no learned weights, and another scale. We took it to be five times
    LPIPS's, which is not measured, and so eps is 0.5 and alpha 0.002. Adam's epsilon is the usual
    1e-8: theirs, 1e-5, makes steps depend on the number of pixels. The noised start is clipped to
    colours, and the cosine ends at 0 instead of 1e-5.
    """

    name = "impress"
    draws = True
    source = "IMPRESS (Cao et al., NeurIPS 2023, arXiv:2310.19248)"
    example = "impress:steps=10"
    mild_if_large = frozenset({"alpha"})

    steps: Annotated[int, Field(strict=True, ge=1, le=100_000)] = 1000
    learning_rate: Annotated[Fraction, Field(gt=0, le=1)] = 0.0025
    noise: Annotated[Fraction, Field(ge=0, le=1)] = 0.025
    eps: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.5
    alpha: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.002

    @property
    def capabilities(self) -> Capabilities:
        """See `Transform.capabilities`."""
        return replace(super().capabilities, steps=self.steps)

    def purify(self, model: EditModel, image: Tensor, *, seed: int | None) -> Tensor:
        """As `Purifier.purify`.

        Raises:
            UserError: the picture is too small for the perceptual distance.
        """
        noise = gaussian(image.shape[1:], self.stream(seed)).to(image)
        found = (image + self.noise * noise).clamp(0, 1)
        adam = torch.optim.Adam([found], lr=self.learning_rate)
        for step in range(self.steps):
            rate = self.learning_rate * (1 + math.cos(math.pi * step / self.steps)) / 2
            adam.param_groups[0]["lr"] = rate
            with torch.enable_grad():
                loss = self.objective(model, found.requires_grad_(), image)
                (found.grad,) = torch.autograd.grad(loss, found)
            adam.step()
            found.detach_().clamp_(0, 1)
        return found

    def objective(self, model: EditModel, image: Tensor, received: Tensor) -> Tensor:
        """What is lowered, a scalar; both images are (1, 3, h, w) in [0, 1]."""
        again = model.decode(model.encode(image)).to(image)
        inconsistency = (2 * (again - image)).square().mean()
        with needed("impress can't run on this picture"):
            (apart,) = perceptual_distance(image, received)
        return inconsistency + self.alpha * (apart.to(image) - self.eps).clamp(min=0)

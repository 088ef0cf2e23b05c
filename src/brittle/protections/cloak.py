"""A cloak of style: what a model learns from the picture is the latent of another style.

After Glaze (Shan et al. 2023), whose code is closed: neither Glaze, nor compatible with it.
"""

import math
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from brittle.budgets import Budget, LinfBudget
from brittle.component import Fraction, register
from brittle.errors import UserError, needed
from brittle.images import Mask, stretch
from brittle.models import EditModel, chain
from brittle.networks import efficientnet
from brittle.noise import Seeds, derive_seed, generators
from brittle.protections.base import Protection, Trace
from brittle.protections.expectation import Range
from brittle.protections.pgd import GRADIENT, PGD
from brittle.protections.update import Adam, Update

STYLES = (
    "a cubist painting",
    "an impressionist painting",
    "a pointillist painting",
    "a Japanese woodblock print",
    "a baroque oil painting",
    "a pencil sketch",
    "a black and white ink drawing",
    "a stained glass window",
)
"""Styles that nobody owns, as prompts; all older than a century."""
SEEN_BYTES = 1_100
"""Bytes a pixel of a photo that the perceptual distance keeps for its gradient."""
UNLIKE = 0.75
"""Of the styles ordered by distance, which one is taken: far, but not the farthest."""


@register
class StyleCloak(PGD):
    """Moves the picture's latent to that of the same picture in another style.

    Minimises mean (Φ(x + δ) − Φ(restyled x))² + alpha · max(d(x, x + δ) − p, 0): Φ is the encoder
    at the size at which the model sees the picture, d the perceptual distance that brittle brings
    (0 to 20). The edit model itself restyles the
    picture with img2img. ``style`` is a prompt; left open, each of ``styles`` is tried, and that is
    taken whose restyled picture lies at three quarters of the order of perceptual distance: unlike
    the picture, as Glaze's target is unlike the artist's style. Name one ``style`` to give all
    pictures of an artist the same.

    The numbers are a public re-implementation's in our units (glaze.py of AAAAAAsuka/Impress): 500
    steps of Adam at a rate of .01 in [-1, 1], p .05 and alpha 30 for LPIPS beside the latents of
    Stable Diffusion 1.x without their scale of .18. As for `impress`, d was taken to be five times
    LPIPS, which is not measured; .2 is 30 / 5 × .18². It starts at the photo, and theirs at uniform
    noise of ±.025; theirs samples latents, and holds no budget.

    ``optimizer`` is "adam" (the source's, its rate being ``step_size``, in [0, 1] units) or "sign"
    (PGD's steps). Whatever the penalty says, the result stays inside ``budget``. The record of a
    protected picture tells the perceptual distance of the file, where one can be measured.
    """

    name = "style-cloak"
    version = 2
    source = (
        "After Glaze (Shan et al. 2023, arXiv:2302.04222), whose code is closed; p, alpha, steps "
        "and rate as in a public re-implementation, in brittle's units"
    )

    budget: Budget = LinfBudget(radius=32 / 255)
    steps: int = Field(500, ge=1)
    step_size: Fraction = Field(0.005, gt=0, allow_inf_nan=False)
    optimizer: Literal["adam", "sign"] = "adam"
    p: float = Field(0.25, ge=0, allow_inf_nan=False)
    alpha: float = Field(0.2, ge=0, allow_inf_nan=False)
    style: str | None = None
    styles: tuple[str, ...] = Field(STYLES, min_length=1)
    strength: Fraction = Field(0.5, gt=0, le=1)
    guidance_scale: float = Field(7.5, ge=0, allow_inf_nan=False)
    evaluations: int = Field(25, ge=1)

    @property
    def denoiser_runs(self) -> int:
        """As `Protection.denoiser_runs`: those of each edit."""
        return self._edits * self.evaluations

    @property
    def _edits(self) -> int:
        return 1 if self.style is not None else len(self.styles)

    @property
    def cost(self) -> str:
        """See `Protection.cost`."""
        edits = f"{self._edits} edit{'' if self._edits == 1 else 's'}"
        return f"{self.gradients:,} passes through the encoder, forward and backward, and {edits}"

    def _of_gradient(
        self, model: EditModel, kept: tuple[float, float], height: int, width: int
    ) -> float:
        """As `PGD._of_gradient`, with what the perceptual distance keeps."""
        seen = SEEN_BYTES * height * width * bool(self.alpha)
        return super()._of_gradient(model, kept, height, width) + GRADIENT * seen

    def with_budget(self, budget: Budget) -> Self:
        """As `PGD.with_budget`; Adam's rate is no length, and stays."""
        if self.optimizer == "adam":
            return Protection.with_budget(self, budget)
        return super().with_budget(budget)

    def check_model(self, model: EditModel) -> None:
        """See `Protection.check_model`: it restyles by img2img."""
        chain.check_task(model, "img2img")

    def prepare(self, model: EditModel, image: Tensor, *, mask: Mask, seeds: Seeds) -> "_Target":
        """The restyled pictures, at the size at which the model sees these."""
        return _Target(self.restyle(model, image, seeds=seeds))

    def objective(
        self, model: EditModel, perturbed: Tensor, image: Tensor, *, prepared: "_Target", **_: Any
    ) -> Tensor:
        """Mean squared distance of latents, and the penalty on what is seen, (N,)."""
        loss = self._latent_distance(model, perturbed, prepared)
        if self.alpha == 0:
            return loss
        excess = perceptual_distance(perturbed, image) - self.p
        return loss + self.alpha * excess.clamp_min(0).to(loss)

    def perturb(
        self, model: EditModel, image: Tensor, *, mask: Mask, seeds: Seeds, trace: Trace
    ) -> Tensor:
        """As `PGD.perturb`; tells the trace what the file will hold."""
        perturbed = super().perturb(model, image, mask=mask, seeds=seeds, trace=trace)
        file = self.budget.round_inside(image, perturbed.detach())
        with torch.no_grad(), suppress(UserError):  # without the penalty nothing else needs it
            trace.more["perceptual_distance"] = perceptual_distance(file, image)
        return perturbed

    def restyle(self, model: EditModel, image: Tensor, *, seeds: Seeds) -> Tensor:
        """Each picture (N, 3, H, W) in the style that is its target, fitted to the model."""
        with torch.no_grad():
            seen = model.fit(image)
            if self.style is not None:
                return self._restyled(model, seen, self.style, seeds)
            tried = [self._restyled(model, seen, style, seeds) for style in self.styles]
            far = torch.stack([perceptual_distance(one, seen) for one in tried])
            rank = math.floor(UNLIKE * (len(tried) - 1))
            taken = far.argsort(dim=0, stable=True)[rank].tolist()
            return torch.stack([tried[style][row] for row, style in enumerate(taken)])

    def _restyled(self, model: EditModel, seen: Tensor, style: str, seeds: Seeds) -> Tensor:
        plan = chain.plan(
            model,
            prompts=[style] * len(seen),
            streams=generators([derive_seed(seed, "restyle") for seed in seeds]),
            shape=seen.shape[-2:],
            num_inference_steps=model.denoiser.steps_for(self.evaluations, self.strength),
            strength=self.strength,
            guidance_scale=self.guidance_scale,
            scheduler=chain.plain_scheduler(model),
        )
        return chain.finish(model, chain.start(model, plan, seen), plan).clamp(0, 1)

    def _latent_distance(self, model: EditModel, image: Tensor, target: "_Target") -> Tensor:
        seen = model.fit(image)
        goal = target.latents(model, seen)
        return (model.encode_to_attack(seen) - goal).square().flatten(1).mean(1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.delta is not None and self.optimizer == "adam":
            raise ValueError("delta takes signed steps: set optimizer=sign and a step_size for it")
        for one in self.expectation:
            if (one.low if isinstance(one, Range) else one).geometry.moves:
                raise ValueError(f"expectation: {one} moves pixels, and the style's target stays")
        return self

    def update(self, image: Tensor, keep: Tensor | None) -> Update:
        """As `PGD.update`, or Adam's."""
        kind = Adam if self.optimizer == "adam" else Update
        return kind(self.budget, image, keep, self.step_sizes)


@dataclass
class _Target:
    """Restyled pictures, and their latents by the shape at which the model sees them."""

    restyled: Tensor
    known: dict[torch.Size, Tensor] = field(default_factory=dict)

    def latents(self, model: EditModel, seen: Tensor) -> Tensor:
        """Latents (N, C, h, w) of the restyled pictures at the shape of ``seen``."""
        if seen.shape not in self.known:
            with torch.no_grad():
                pictures = stretch(self.restyled, seen.shape[-2:])
                self.known[seen.shape] = model.encode_to_attack(pictures)
        return self.known[seen.shape]


def perceptual_distance(image: Tensor, reference: Tensor) -> Tensor:
    """As `efficientnet.perceptual_distance`, which a cloak can't do without."""
    with needed("The cloak's perceptual distance can't be measured"):
        return efficientnet.perceptual_distance(image, reference)

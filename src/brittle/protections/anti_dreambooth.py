"""Anti-DreamBooth: a collection from which a fine-tune learns badly, by its alternating scheme."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from brittle.budgets import Budget, LinfBudget
from brittle.component import Fraction, register
from brittle.errors import UserError
from brittle.images import Mask, digest
from brittle.models import EditModel
from brittle.models.finetuning import Course
from brittle.models.memory import check_memory
from brittle.models.surrogate import Surrogate
from brittle.models.tuned import Scope
from brittle.noise import Seeds, derive_seed, generators
from brittle.protections.base import Trace
from brittle.protections.pgd import PGD

MEASURED = 8
"""Draws of noise and timestep over which the record's losses are means."""


@register
class AntiDreamBooth(PGD):
    """Raises the loss with which DreamBooth learns from the collection, by ASPL.

    Alternating surrogate and perturbation learning: in each of ``rounds`` a copy of the surrogate
    learns ``training_steps`` from the clean pictures; against this copy, PGD maximises the loss of
    denoising each perturbed picture under ``instance_prompt``, for ``steps`` with a fresh noise and
    timestep each; then the surrogate itself learns ``training_steps`` from the perturbed pictures.
    So the perturbation meets models that have learned from the clean pictures and from its own.

    The whole UNet learns, and with ``train_text_encoder`` the text encoder: with AdamW at
    ``learning_rate``, whose memory is as that of a full fine-tune. Pictures are learned from as
    their centre squares, one a step; the perturbation is optimised through the model's own way from
    photo to input, picture by picture. A ``linear`` schedule falls within each round. The losses
    that the record of a picture tells are the negative denoising loss of the photo and of the
    perturbed picture, both under the surrogate that the last round leaves and the same draws.
    """

    name = "anti-dreambooth"
    source = "Anti-DreamBooth's ASPL (Van Le et al. 2023, arXiv:2303.15433)"
    needs_collection = True

    budget: Budget = LinfBudget(radius=6.375 / 255)
    rounds: int = Field(50, ge=1)
    steps: int = Field(6, ge=1)
    step_size: Fraction = Field(0.0025, gt=0, allow_inf_nan=False)
    training_steps: int = Field(3, ge=0)
    learning_rate: float = Field(5e-7, gt=0, allow_inf_nan=False)
    train_text_encoder: bool = True
    instance_prompt: str = "a photo of sks"

    @property
    def total_steps(self) -> int:
        """The steps of all rounds."""
        return self.rounds * self.steps

    @property
    def denoiser_gradients(self) -> int:
        """One a step; the surrogate's training, which all pictures share, is not counted."""
        return self.total_steps

    @property
    def cost(self) -> str:
        """See `Protection.cost`."""
        training = 2 * self.rounds * self.training_steps
        return (
            f"{self.denoiser_gradients:,} runs of the denoiser, forward and backward, and "
            f"{training:,} steps of training for the whole collection"
        )

    def perturb_collection(
        self,
        model: EditModel,
        images: Sequence[Tensor],
        *,
        masks: Sequence[Mask],
        seeds: Seeds,
        trace: Trace,
    ) -> list[Tensor]:
        """See `Protection.perturb_collection`; whatever the order of the pictures."""
        self.check_model(model)
        digests = [digest(image) for image in images]
        order = sorted(range(len(images)), key=digests.__getitem__)
        course = self._course([seeds[i] for i in order])
        surrogate = Surrogate(model, course, self.instance_prompt)
        # A picture's noise is its own, also where all are given one seed.
        streams = generators(list(map(derive_seed, seeds, digests)))
        batches = [
            self.batch(image, mask, [seed], _Prepared(surrogate, stream))
            for image, mask, seed, stream in zip(images, masks, seeds, streams, strict=True)
        ]
        for number in range(self.rounds):
            with surrogate.aside():
                surrogate.learn([images[i] for i in order])
                self.descend(model, batches, trace, taken=number * self.steps)
            surrogate.learn([batches[i].perturbed for i in order])
        perturbed = [batch.perturbed for batch in batches]
        trace.losses = [
            torch.cat([_measured(model, surrogate, *one) for one in zip(shown, seeds, strict=True)])
            for shown in (images, perturbed)
        ]
        return perturbed

    def objective(
        self, model: EditModel, perturbed: Tensor, image: Tensor, *, prepared: "_Prepared", **_: Any
    ) -> Tensor:
        """The negative loss of denoising what the model sees, (N,), under a fresh draw."""
        latents = model.encode(model.fit(perturbed))
        return -prepared.surrogate.errors(latents, [prepared.stream])

    def check_model(self, model: EditModel) -> None:
        """See `Protection.check_model`; memory is that of the surrogate and its copy."""
        if model.unet_channels != model.latent_channels:
            raise UserError(f"{model.name} is made for inpainting, and {self.name} can't teach it.")
        check_memory(model, self.scope, "choose another protection or machine", copies=5)

    def _course(self, seeds: Seeds) -> Course:
        seed = derive_seed(0, "surrogate", *map(str, seeds))
        return Course(self.scope, self.training_steps, self.learning_rate, batch=1, seed=seed)

    @property
    def scope(self) -> Scope:
        """What of the surrogate learns."""
        return Scope(("unet", "text_encoder") if self.train_text_encoder else ("unet",), rank=None)


@dataclass(frozen=True)
class _Prepared:
    """The surrogate as it stands, and the stream of a picture's noises and timesteps."""

    surrogate: Surrogate
    stream: torch.Generator


def _measured(model: EditModel, surrogate: Surrogate, image: Tensor, seed: int) -> Tensor:
    """The negative denoising loss of a picture, (1,), a mean over draws that a seed decides."""
    with torch.no_grad():
        latents = model.encode(model.fit(image))
        streams = generators([derive_seed(seed, "measured")])
        return -sum(surrogate.errors(latents, streams) for _ in range(MEASURED)) / MEASURED

"""Protections that mislead the image encoders of latent diffusion models."""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from brittle.budgets import Budget, LinfBudget
from brittle.component import Fraction, register
from brittle.errors import UserError
from brittle.images import Mask
from brittle.models import EditModel, load_model
from brittle.models.known import known_as
from brittle.noise import Seeds
from brittle.protections.pgd import PGD, Batch
from brittle.protections.seen import OfPhoto, seen_by
from brittle.protections.target import GRAY, target_image, with_digest

SMALLEST = 1e-12
"""Squared distances of latents below it count as this one: 0 has no logarithm."""


@register
class EncoderProtection(PGD):
    """Moves the photo's latent to a target's, so that the editor sees something else.

    Minimises ‖E(x + δ) − z‖², E being the mean of the encoder's latent distribution, at the size at
    which the editor sees the photo. With a mask, E sees gray in the part to be edited, as in models
    made for inpainting, where the model is such a one or an encoder alone; others encode the whole
    photo. The norm without the square, which PhotoGuard's code minimises, gives the same steps:
    only the gradient's direction is used.

    ``target`` is "gray" (the latent of a gray picture), "zero" (the zero latent), "away" (the
    photo's own latent, which is left as far behind as possible: EditShield's objective, from a
    random start) or an image file, stretched to the photo's shape; the record keeps its path and
    the digest of its pixels, as ``path#digest``.

    ``with_models`` names more models, as `load_model` takes them, whose encoders are to be misled
    at the same time; the record keeps them as ``name#digest`` of their files. Each one's distance
    is divided by that between the photo's latent and gray's, so that none outweighs the others. A
    model that is named and given, or named twice, counts once.

    All latents that are compared are computed in `EditModel.attack_dtype`.
    """

    name = "encoder"
    version = 3
    source = "PhotoGuard's encoder attack (Salman et al. 2023, arXiv 2302.06588)"

    budget: Budget = LinfBudget(radius=12.75 / 255)
    steps: int = Field(40, ge=1)
    step_size: Fraction = Field(0.0075, gt=0, allow_inf_nan=False)
    target: str = "gray"
    with_models: tuple[str, ...] = ()

    @field_validator("target")
    @classmethod
    def _add_digest(cls, target: str) -> str:
        return with_digest(target, "gray", "zero", "away")

    @field_validator("with_models")
    @classmethod
    def _add_digests(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_with_content(name) for name in names)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.target == "away" and not self.random_start:
            raise ValueError("target=away needs random_start=true: at the photo its gradient is 0")
        return self

    @property
    def cost(self) -> str:
        """See `Protection.cost`; less where the model is one of those that are named."""
        most, passes = "at most " if self._named else "", self.gradients * (1 + len(self._named))
        return f"{most}{passes:,} passes through the encoder, forward and backward"

    def graphs_on(self, model: EditModel) -> int:
        """See `PGD.graphs_on`."""
        return 1 + len(self._others(model))

    @property
    def joins_views(self) -> bool:
        """See `PGD.joins_views`; with more models each photo has a scale of its own."""
        return not self.with_models

    def batches(self, model: EditModel, image: Tensor, mask: Mask, seeds: Seeds) -> list[Batch]:
        """As `PGD.batches`; a target's latent is computed once for all of them."""
        batches = super().batches(model, image, mask, seeds)
        for batch in batches[1:]:
            for encoder, first in zip(batch.prepared, batches[0].prepared, strict=True):
                encoder.targets = first.targets
        return batches

    def prepare(
        self, model: EditModel, image: Tensor, *, mask: Mask, seeds: Seeds
    ) -> list["_Encoder"]:
        """The encoders to be misled, with an empty store of target latents each."""
        encoders = [_Encoder(one) for one in self.encoders_on(model)]
        if self.with_models:
            for encoder in encoders:
                encoder.scale = encoder.latent_span(image)
        return encoders

    def encoders_on(self, model: EditModel) -> list[EditModel]:
        """See `Protection.encoders_on`: the model, and those that ``with_models`` names."""
        others = [
            _recorded(name, str(model.device), model.dtype, model.vae_dtype, model.size)
            for name in self._others(model)
        ]
        return [model, *others]

    @property
    def _named(self) -> dict[str, str]:
        """What ``with_models`` names, once each, by its content."""
        return {name.rpartition("#")[2]: name for name in self.with_models}

    def _others(self, model: EditModel) -> list[str]:
        """What ``with_models`` names beside this model."""
        return [name for digest, name in self._named.items() if digest != model.content_hash]

    def objective(
        self,
        model: EditModel,
        perturbed: Tensor,
        image: Tensor,
        *,
        mask: Mask,
        seeds: Seeds,
        prepared: list["_Encoder"],
    ) -> Tensor:
        """Squared distance of each latent to the target's, (N,), the mean over the models."""
        losses = [self._distance(one, perturbed, image, mask) / one.scale for one in prepared]
        total = sum(losses[1:], losses[0]) / len(losses)
        return -total if self.target == "away" else total

    def _distance(
        self, encoder: "_Encoder", perturbed: Tensor, image: Tensor, mask: Mask
    ) -> Tensor:
        seen = encoder.sees(perturbed, mask)
        if self.target == "away":
            goal = encoder.latent_of(image, mask)
        else:
            if seen.shape not in encoder.targets:
                with torch.no_grad():
                    encoder.targets[seen.shape] = self._target_latent(encoder.model, seen)
            goal = encoder.targets[seen.shape]
        return (encoder.model.encode_to_attack(seen) - goal).square().flatten(1).sum(1)

    def _target_latent(self, model: EditModel, seen: Tensor) -> Tensor:
        """The target's latent (1, C, h, w) for a batch as the encoder sees it."""
        if self.target == "zero":
            return torch.zeros_like(model.encode_to_attack(seen[:1]))
        return model.encode_to_attack(target_image(self.target, seen))


@register
class EncoderEnsemble(EncoderProtection):
    """Leaves the photo's latents behind in many encoders at once.

    Maximises the geometric mean of ‖E(x + δ) − E(x)‖² over the model's encoder and those of
    ``with_models``: a step counts for each encoder as a share of what it has reached there, so that
    none outweighs the others.
    """

    name = "encoder-ensemble"
    version = 1
    source = "brittle's own, after EditShield's objective (Chen et al. 2023, arXiv 2311.12066)"

    random_start: bool = True
    target: Literal["away"] = "away"

    @property
    def joins_views(self) -> bool:
        """See `PGD.joins_views`."""
        return True

    def graphs_on(self, model: EditModel) -> int:
        """See `PGD.graphs_on`: one encoder's at a time."""
        return 1

    def prepare(
        self, model: EditModel, image: Tensor, *, mask: Mask, seeds: Seeds
    ) -> list["_Encoder"]:
        """The encoders to be misled."""
        return [_Encoder(one) for one in self.encoders_on(model)]

    def objective(
        self,
        model: EditModel,
        perturbed: Tensor,
        image: Tensor,
        *,
        mask: Mask,
        seeds: Seeds,
        prepared: list["_Encoder"],
    ) -> Tensor:
        """Minus the mean logarithm of the latents' squared distances, (N,).

        Each encoder's gradient is taken before the next one runs, so memory doesn't grow with
        their number; the result is linear in ``perturbed``, with the loss's value and gradient.
        """
        picture = perturbed.detach().requires_grad_()
        loss, gradient = perturbed.new_zeros(len(perturbed)), torch.zeros_like(picture)
        for encoder in prepared:
            with torch.enable_grad():
                distance = self._distance(encoder, picture, image, mask)
                share = -distance.clamp(min=SMALLEST).log() / len(prepared)
                gradient += torch.autograd.grad(share.sum(), picture)[0]
            loss += share.detach()
        return loss + ((perturbed - picture.detach()) * gradient).flatten(1).sum(1)


@dataclass
class _Encoder:
    """A model whose encoder is to be misled, and what stays the same over the steps."""

    model: EditModel
    targets: dict[torch.Size, Tensor] = field(default_factory=dict)
    scale: Tensor | float = 1.0
    latent_of: OfPhoto[Tensor] = field(init=False)
    """The latents of photos, from their pixels and masks."""

    def __post_init__(self) -> None:
        self.latent_of = OfPhoto(self.model, self.model.encode_to_attack)

    def sees(self, image: Tensor, mask: Mask) -> Tensor:
        """The picture as this model's editor encodes it."""
        return seen_by(self.model, image, mask)

    def latent_span(self, image: Tensor) -> Tensor:
        """Squared distance (N,) between the latents of photos and of gray."""
        seen = self.model.fit(image)
        with torch.no_grad():
            gray = self.model.encode_to_attack(torch.full_like(seen[:1], GRAY))
            return (self.model.encode_to_attack(seen) - gray).square().flatten(1).sum(1)


def _with_content(name: str) -> str:
    """The model's name as it is recorded: ``name#digest``, the digest of its files.

    Raises:
        ValueError: it is no model, or not on this machine yet: a setting fetches nothing.
    """
    if re.fullmatch(r".+#[0-9a-f]{32}", name):
        return name
    if (known := known_as(name)) is not None and known.folder is None:
        raise ValueError(f"the encoder {name} is not here yet: brittle models fetch {known.name}")
    try:
        return f"{name}#{load_model(name, device='cpu').content_hash}"
    except UserError as error:
        raise ValueError(str(error)) from error


@lru_cache(maxsize=8)
def _recorded(
    name: str, device: str, dtype: torch.dtype, vae_dtype: torch.dtype, size: int
) -> EditModel:
    """The model behind ``name#digest``, in the dtypes and at the size of the one that it joins.

    Raises:
        UserError: its files are gone, or are not those that were recorded; a size that it doesn't
            work at.
    """
    path, _, digest = name.rpartition("#")
    model = load_model(path, device=device, dtype=dtype, vae_dtype=vae_dtype, size=size)
    if model.content_hash != digest:
        raise UserError(f"The model {path} isn't the one that was recorded: its files differ.")
    return model

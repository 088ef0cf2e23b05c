"""Protections against models that learn from them meanwhile: the loop that all of these share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from brittle.errors import UserError
from brittle.images import Mask, digest
from brittle.models import EditModel
from brittle.models.denoising import Draw
from brittle.models.finetuning import Course
from brittle.models.memory import check_memory
from brittle.models.surrogate import Surrogate
from brittle.models.tuned import LearningScope
from brittle.noise import Seeds, derive_seed, gaussian, generators
from brittle.protections.base import Trace
from brittle.protections.pgd import PGD, Batch


class SurrogateLoop(PGD):
    """Perturbs a collection against a surrogate: a copy of the model, which learns meanwhile.

    In each of ``rounds`` PGD takes ``steps`` on each picture, with a fresh noise and timestep each,
    and then the surrogate learns ``training_steps`` from the perturbed pictures, with AdamW at
    ``learning_rate`` and under ``instance_prompt``. Where a protection ``rehearses``, a copy of the
    surrogate learns as much from the clean pictures first, and PGD acts against this copy.

    Pictures are learned from as their centre squares, one a step; the perturbation is optimised
    through the model's own way from photo to input, picture by picture. A ``linear`` schedule falls
    within each round. The losses that the record of a picture tells are the objective of the photo
    and of the perturbed picture, both under the surrogate that the last round leaves and the same
    draws.

    A subclass says which weights learn (`scope`) and what PGD minimises (`objective`).
    """

    version = 2
    needs_collection = True
    rehearses: ClassVar[bool] = False
    forgets: ClassVar[bool] = True
    """Whether the surrogate's optimizer starts anew each time that it learns."""

    rounds: int = Field(ge=1)
    training_steps: int = Field(ge=0)
    learning_rate: float = Field(gt=0, allow_inf_nan=False)
    instance_prompt: str

    @property
    def total_rounds(self) -> int:
        """How often PGD and the surrogate take turns."""
        return self.rounds

    @property
    def total_steps(self) -> int:
        """The steps of all rounds."""
        return self.total_rounds * self.steps

    @property
    def total_training(self) -> int:
        """See `Protection.total_training`: of all rounds."""
        return self.total_rounds * self.training_steps * (2 if self.rehearses else 1)

    @property
    def denoiser_gradients(self) -> int:
        """One a gradient; the surrogate's training, which all pictures share, is not counted."""
        return self.gradients

    @property
    def cost(self) -> str:
        """See `Protection.cost`."""
        return (
            f"{self.denoiser_gradients:,} runs of the denoiser, forward and backward, and "
            f"{self.total_training:,} steps of training for the whole collection"
        )

    @property
    def scope(self) -> LearningScope:
        """What of the surrogate learns."""
        raise NotImplementedError

    def meetings(self, surrogate: Surrogate, clean: Sequence[Tensor]) -> Iterator[None]:
        """Put the surrogate where each round begins, before it begins; `total_rounds` of them."""
        yield from [None] * self.rounds

    def expose(
        self,
        model: EditModel,
        surrogate: Surrogate,
        image: Tensor,
        mask: Mask,
        stream: torch.Generator,
    ) -> "Exposed":
        """What belongs to a picture (1, 3, H, W) over all steps; its draws are from ``stream``."""
        return Exposed(surrogate, stream, torch.arange(len(surrogate.task)))

    def objective(
        self, model: EditModel, perturbed: Tensor, image: Tensor, *, prepared: "Exposed", **_: Any
    ) -> Tensor:
        """The negative loss of denoising what the model sees, (N,), under a fresh draw."""
        latents = model.encode_to_attack(model.fit(perturbed))
        return -prepared.surrogate.errors(latents, prepared.draw(latents))

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
        clean = [images[i] for i in order]
        # A picture's noise is its own, also where all are given one seed.
        streams = generators(list(map(derive_seed, seeds, digests)))
        batches = [
            self.batch(image, mask, [seed], self.expose(model, surrogate, image, mask, stream))
            for image, mask, seed, stream in zip(images, masks, seeds, streams, strict=True)
        ]
        for number, _ in enumerate(self.meetings(surrogate, clean)):
            taken = number * self.steps
            if self.rehearses:
                with surrogate.aside():
                    surrogate.learn(clean)
                    self.descend(model, batches, trace, taken=taken)
            else:
                self.descend(model, batches, trace, taken=taken)
            surrogate.learn([batches[i].perturbed for i in order], forget=self.forgets)
        perturbed = [batch.perturbed for batch in batches]
        trace.ends = self.ends(model, batches, images, perturbed)
        return perturbed

    def check_model(self, model: EditModel) -> None:
        """See `Protection.check_model`; memory is that of the surrogate and its copies."""
        if why := model.denoiser.why_not("generate"):
            raise UserError(f"{self.name} can't teach this model: {why}")
        # Weights, gradients and AdamW's moments; and the copies, which lie on the CPU.
        copies = 4 + (self.kept_copies if model.device.type == "cpu" else 0)
        check_memory(model, self.scope, "choose another protection or machine", copies=copies)

    @property
    def kept_copies(self) -> int:
        """How many copies of the weights are kept beside the surrogate."""
        return 1 if self.rehearses else 0

    def _course(self, seeds: Seeds) -> Course:
        seed = derive_seed(0, "surrogate", *map(str, seeds))
        return Course(self.scope, self.training_steps, self.learning_rate, batch=1, seed=seed)

    def measuring(self, model: EditModel, batch: Batch) -> Batch:
        """See `PGD.measuring`; the surrogate stays as it is."""
        (stream,) = generators([derive_seed(batch.seeds[0], "measured")])
        return replace(batch, prepared=replace(batch.prepared, stream=stream))


class WholeSurrogateLoop(SurrogateLoop):
    """A loop whose surrogate learns with all weights of its UNet.

    With ``train_text_encoder`` the text encoder learns, too. Memory is as that of a full fine-tune.
    """

    train_text_encoder: bool = True

    @property
    def scope(self) -> LearningScope:
        """See `SurrogateLoop.scope`."""
        return LearningScope(
            ("denoiser", "text_encoder") if self.train_text_encoder else ("denoiser",), rank=None
        )


@dataclass(frozen=True)
class Exposed:
    """The surrogate as it stands, and what belongs to one picture over all steps.

    ``stream`` is that of its noises and timesteps, ``timesteps`` (K,) are those that it draws from,
    and ``targets`` are latents by the input's shape.
    """

    surrogate: Surrogate
    stream: torch.Generator
    timesteps: Tensor
    targets: dict[torch.Size, Tensor] = field(default_factory=dict)

    def draw(self, latents: Tensor) -> Draw:
        """Fresh noise for latents (1, C, h, w), and one of the timesteps."""
        drawn = gaussian(latents.shape[1:], [self.stream]).to(latents)
        place = torch.randint(len(self.timesteps), (1,), generator=self.stream)
        return Draw(drawn, self.timesteps[place])

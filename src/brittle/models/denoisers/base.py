"""What the chain knows of a denoiser, whatever its architecture."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from brittle.models.parts import Part
from brittle.models.schedulers import AnyScheduler
from brittle.models.texts import TextEncoder

Task = Literal["generate", "img2img", "inpaint", "instruct"]
"""From a prompt alone; from a noised image; under a mask; by an instruction about an image."""

Encode = Callable[[Tensor, Tensor | None], Tensor]
"""Image (N, 3, H, W) in [0, 1] to scaled latents: by the mean, or with noise as a sample."""


IMAGE_GUIDANCE = 1.5
"""How strongly an edit by instruction keeps to its image, as InstructPix2Pix's authors advise."""


@dataclass(frozen=True)
class Condition:
    """What the denoiser is told beside the noisy latents and their timestep."""

    embeddings: Tensor
    """(rows, tokens, width) of the prompts, the rows in the architecture's own order."""
    guidance_scale: float
    image_guidance_scale: float = 1.0
    """How strongly an instruction editor holds on to its image."""
    more: Mapping[str, Tensor | list[Tensor]] = field(default_factory=dict)
    """Further inputs of the module by its names for them, one row for each of `embeddings`."""
    texts: tuple[Tensor, ...] = ()
    """Prompts as tokens (length,), a row each, where they are read beside the image."""
    shown: tuple[Tensor, ...] = ()
    """What the denoiser sees of an image (`Denoiser.show`); gradients pass through it."""


class Denoiser(Protocol):
    """One architecture: what it is told and shown, how it runs, and how it is guided.

    An object of this kind holds no weights, only the model's `Parts`, and costs nothing to make.
    """

    @property
    def read_parts(self) -> tuple[Part, ...]:
        """The parts with weights that an edit reads beside the autoencoder."""

    @property
    def reader(self) -> TextEncoder:
        """The text encoder that reads the most of a prompt."""

    @property
    def patch(self) -> int:
        """Latents a side of one token: photos' sides are multiples of so many latents."""

    @property
    def own_side(self) -> int:
        """The long side in latents at which it works, where its files state none."""

    @property
    def always_encodes(self) -> bool:
        """Whether inpainting encodes the image, and draws for that, even where it isn't needed."""

    def scheduler_name(self, name: str | None) -> str:
        """The name of the scheduler that runs where this one is asked for, or none.

        Raises:
            UserError: there is no such scheduler for the model.
        """

    def schedule(
        self,
        name: str | None,
        *,
        num_inference_steps: int,
        strength: float,
        eta: float,
        streams: Sequence[torch.Generator],
        shape: Sequence[int],
    ) -> AnyScheduler:
        """The scheduler of an edit of images of (height, width) ``shape``.

        It is made as diffusers' pipelines of this kind make it. How many evaluations run doesn't
        depend on the shape.

        Raises:
            UserError: settings that can't run.
        """

    def steps_for(self, evaluations: int, strength: float) -> int:
        """How many steps a schedule has of which, at this strength, ``evaluations`` run."""

    @property
    def hides_masked(self) -> bool:
        """Whether inpainting shows the image without what is masked, and puts nothing back."""

    def why_not(self, task: Task) -> str:
        """Why the model can't run a task, in a sentence; nothing if it can."""

    def fallbacks(self, task: Task) -> Mapping[str, Any]:
        """Values for an editor's fields that the files suggest and nobody chose."""

    def ignored(self, task: Task) -> Mapping[str, Any]:
        """Fields of editors without an effect, each with the value that asks for none."""

    def rows(self, guidance_scale: float) -> int:
        """How many rows an evaluation runs for each image."""

    def condition(
        self,
        prompts: Sequence[str],
        negative_prompts: Sequence[str],
        *,
        shape: Sequence[int],
        guidance_scale: float,
        image_guidance_scale: float = 1.0,
    ) -> Condition:
        """All that doesn't depend on the image, for N images of (height, width) ``shape``.

        A prompt that is longer than the text encoder reads is cut; `reader` says so.
        """

    def show(
        self,
        task: Task,
        image: Tensor,
        mask: Tensor | None,
        encode: Encode,
        noise: Tensor | None,
        condition: Condition,
    ) -> tuple[Tensor, ...]:
        """What it sees of images (N, 3, H, W), for `Condition.shown` of the ``condition``.

        ``mask`` (N, 1, H, W) is 1 where the editor may paint. With ``noise`` the masked image's
        latents are a sample of their distribution.
        """

    def blank(self, latents: Tensor, condition: Condition) -> tuple[Tensor, ...]:
        """As `show`, of nothing: for trying what an evaluation of such latents costs."""

    def predict(self, latents: Tensor, timestep: int | Tensor, condition: Condition) -> Tensor:
        """The guided output (N, C, h, w) for noisy latents, scaled as the scheduler says."""

"""A surrogate: a copy of a model that learns in memory, as a mimic's would, and can unlearn it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from brittle.models.denoising import DenoisingTask, Draw
from brittle.models.edit_model import EditModel
from brittle.models.finetuning import Classroom, Course, Lesson, square


class Surrogate:
    """Learns what ``prompt`` means by DreamBooth, and says how hard it is to denoise a picture.

    ``course.steps`` are those of one call of `learn`, unless it is told another number.
    """

    def __init__(self, model: EditModel, course: Course, prompt: str) -> None:
        self.model, self.course, self.prompt = model, course, prompt
        self.taught = 0
        empty = torch.empty(0, model.latent_channels, 1, 1)
        self.classroom = Classroom(model, [Lesson(empty, prompt)], course)

    @property
    def task(self) -> DenoisingTask:
        """What its denoiser is trained to do."""
        return self.classroom.task

    def learn(
        self, pictures: Sequence[Tensor], *, forget: bool = True, steps: int | None = None
    ) -> None:
        """Train on the centre squares of pictures (1, 3, H, W).

        The optimizer is fresh, unless it is not to ``forget`` what it did before.
        """
        squares = [square(picture, self.model.size) for picture in pictures]
        self.classroom.lessons = [Lesson.of(self.model, squares, self.prompt)]
        if forget:
            self.classroom.forget_moments()
        for _ in range(self.course.steps if steps is None else steps):
            self.classroom.step(self.taught)
            self.taught += 1

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is learned meanwhile is forgotten at the end."""
        kept = self.weights()
        yield
        self.restore(kept)

    def weights(self) -> list[Tensor]:
        """A copy of all weights that learn, on the CPU."""
        parameters = self.classroom.parameters.values()
        return [parameter.detach().to("cpu", copy=True) for parameter in parameters]

    def restore(self, weights: Sequence[Tensor]) -> None:
        """Go back to what `weights` gave."""
        with torch.no_grad():
            for parameter, value in zip(self.classroom.parameters.values(), weights, strict=True):
                parameter.copy_(value)

    @contextmanager
    def listening(self) -> Iterator[list[Tensor]]:
        """What residual layers of the UNet's last upward block compute meanwhile, in their order.

        Each is taken before it is added to the block's input.
        """
        heard: list[Tensor] = []
        layers = [block.conv2 for block in self.classroom.modules["denoiser"].up_blocks[-1].resnets]
        handles = [
            layer.register_forward_hook(lambda *told: heard.append(told[2])) for layer in layers
        ]
        try:
            yield heard
        finally:
            for handle in handles:
                handle.remove()

    def errors(self, latents: Tensor, draw: Draw) -> Tensor:
        """DreamBooth's loss of latents (N, C, h, w) under what was drawn, (N,); differentiable."""
        return self.task.errors(self.output(latents, draw), latents, draw)

    def output(self, latents: Tensor, draw: Draw) -> Tensor:
        """What the denoiser says of latents (N, C, h, w) under what was drawn; differentiable.

        It is shown the prompt, as that means by now.
        """
        embeddings = self.classroom.embeddings().expand(len(latents), -1, -1)
        return self.classroom.output(latents, draw, embeddings)

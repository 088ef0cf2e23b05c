"""A surrogate: a copy of a model that learns in memory, as a mimic's would, and can unlearn it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from brittle.models.denoising import Timesteps
from brittle.models.edit_model import EditModel
from brittle.models.finetuning import Classroom, Course, Lesson, square


class Surrogate:
    """Learns what ``prompt`` means by DreamBooth, and says how hard it is to denoise a picture.

    ``course.steps`` are those of one call of `learn`.
    """

    def __init__(self, model: EditModel, course: Course, prompt: str) -> None:
        self.model, self.course, self.prompt = model, course, prompt
        self.taught = 0
        empty = torch.empty(0, model.latent_channels, 1, 1)
        self.classroom = Classroom(model, [Lesson(empty, prompt)], course)

    def learn(self, pictures: Sequence[Tensor], *, forget: bool = True) -> None:
        """Train on the centre squares of pictures (1, 3, H, W).

        The optimizer is fresh, unless it is not to ``forget`` what it did before.
        """
        squares = [square(picture, self.model.size) for picture in pictures]
        self.classroom.lessons = [Lesson.of(self.model, squares, self.prompt)]
        if forget:
            self.classroom.forget_moments()
        for _ in range(self.course.steps):
            self.classroom.step(self.taught)
            self.taught += 1

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is learned meanwhile is forgotten at the end."""
        parameters = self.classroom.parameters.values()
        kept = [parameter.detach().to("cpu", copy=True) for parameter in parameters]
        yield
        with torch.no_grad():
            for parameter, value in zip(parameters, kept, strict=True):
                parameter.copy_(value)

    def errors(
        self,
        latents: Tensor,
        streams: Sequence[torch.Generator],
        timesteps: Timesteps | None = None,
    ) -> Tensor:
        """DreamBooth's loss of latents (N, C, h, w) under the prompt, (N,); differentiable.

        Each row's noise and timestep are drawn from its own stream; see `DenoisingTask.draw`.
        """
        draw = self.classroom.task.draw(latents, streams, timesteps)
        embeddings = self.classroom.embeddings().expand(len(latents), -1, -1)
        return self.classroom.errors(latents, draw, embeddings)

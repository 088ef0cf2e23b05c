"""What all editors on the chain share: their fields, how open ones are filled, a whole image."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Self

import torch
from pydantic import Field, ValidationError
from torch import Tensor

from brittle import noise
from brittle.component import explain
from brittle.editors.base import Editor
from brittle.errors import UserError
from brittle.images import Mask
from brittle.models import EditModel, chain
from brittle.models.chain import EditPlan
from brittle.models.denoisers import Task
from brittle.noise import Seeds


class Chained(Editor):
    """An editor that denoises with the chain.

    A field that is None takes the model's recommendation, or else the value in ``FALLBACKS``;
    `resolve` fills them in, and what is recorded is the resolved editor.
    """

    task: ClassVar[Task]
    FALLBACKS: ClassVar[dict[str, float]]

    def resolve(self, model: EditModel) -> Self:
        """As `Editor.resolve`; the scheduler becomes the name of the one that runs.

        Raises:
            UserError: this model can't run such an edit, a field has no effect on it, or no step
                of the denoising is left.
        """
        model = self.adapted(model)
        if model.why_no_edits:
            raise UserError(model.why_no_edits)
        denoiser = chain.check_task(model, self.task)
        advised = {
            **self.FALLBACKS,
            **denoiser.fallbacks(self.task),
            **model.recommended.get(self.name, {}),
        }
        fields = {field: getattr(self, field) for field in type(self).model_fields}
        open_fields = {field: advised[field] for field in self.FALLBACKS if fields[field] is None}
        name = denoiser.scheduler_name(fields["scheduler"] or advised.get("scheduler"))
        try:
            resolved = self.model_validate({**fields, **open_fields, "scheduler": name})
        except ValidationError as error:
            raise UserError(
                explain(error, f"{model.name}, recommended.json: {self.name}")
            ) from None
        for field, nothing in denoiser.ignored(self.task).items():
            if getattr(resolved, field, nothing) != nothing:
                raise UserError(f"{model.name} has no use for {field}: leave it out.")
        resolved._steps(model)
        return resolved

    def edit(
        self,
        model: EditModel,
        image: Tensor,
        *,
        prompts: Sequence[str],
        mask: Mask = None,
        seeds: Seeds,
    ) -> Tensor:
        """As `Editor.edit`, of the whole image; a mask raises UserError."""
        if mask is not None:
            raise UserError(
                f"{self.name} edits the whole image: with a mask, use the editor inpaint."
            )
        with torch.inference_mode():
            image, adapted = model.fit(image), self.adapted(model)
            plan = self.resolve(model).plan(adapted, image, prompts=prompts, seeds=seeds)
            start = chain.start(adapted, plan, image)
            return chain.finish(adapted, start, plan).clamp(0, 1).cpu()

    def adapted(self, model: EditModel) -> EditModel:
        """The model that denoises: this one, unless the editor puts something on top."""
        return model

    def evaluations(self, model: EditModel) -> int:
        """As `Editor.evaluations`."""
        return self.resolve(model)._steps(model)

    def _steps(self, model: EditModel) -> int:
        """How many steps a resolved editor runs; UserError if none."""
        names = {"num_inference_steps", "strength", "eta"}.intersection(self.settings())
        settings = {name: getattr(self, name) for name in names}
        return len(model.schedule(self.settings()["scheduler"], **settings).timesteps)

    def plan(
        self,
        model: EditModel,
        image: Tensor,
        *,
        prompts: Sequence[str],
        seeds: Seeds,
    ) -> EditPlan:
        """The chain's plan for a batch of fitted images; on a resolved editor."""
        return chain.plan(
            model,
            prompts=prompts,
            streams=noise.generators(seeds),
            shape=image.shape[-2:],
            task=self.task,
            **self.settings(),
        )

    def settings(self) -> dict[str, Any]:
        """The fields that decide how the chain runs, whatever else the editor has."""
        raise NotImplementedError


class Sampling(Chained):
    """An editor whose fields are those of diffusers' img2img, or fewer of their values."""

    task: ClassVar[Task] = "img2img"
    FALLBACKS: ClassVar[dict[str, float]] = {
        "strength": 0.5,
        "guidance_scale": 7.5,
        "num_inference_steps": 50,
    }

    strength: Annotated[float, Field(gt=0, le=1)] | None = None
    guidance_scale: Annotated[float, Field(ge=0)] | None = None
    num_inference_steps: Annotated[int, Field(ge=1)] | None = None
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    negative_prompt: str = ""
    scheduler: str | None = None

    def settings(self) -> dict[str, Any]:
        """As `Chained.settings`."""
        return {field: getattr(self, field) for field in Sampling.model_fields}

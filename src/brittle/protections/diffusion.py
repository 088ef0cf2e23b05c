"""The protection that optimises through the whole editor: encode, denoise, decode."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from brittle import noise
from brittle.budgets import Budget, LinfBudget
from brittle.component import Fraction, register
from brittle.images import Mask
from brittle.models import EditModel, chain
from brittle.models.denoisers import IMAGE_GUIDANCE, Task
from brittle.noise import Seeds
from brittle.protections.pgd import PGD
from brittle.protections.target import target_image, with_digest


@register
class DiffusionProtection(PGD):
    """Moves what the editor makes of the photo to a target picture.

    Minimises ‖f(x + δ) − target‖₂, f being the edit with a prompt, through the very chain that the
    editors run: inpainting where there is a mask, img2img where there is none, and instruct where
    the model follows instructions. Each step averages the gradients of ``draws`` edits under fresh
    noise, ``draws_at_once`` of them in one batch. ``evaluations`` of the denoiser run, whatever the
    strength; memory doesn't grow with their number, as each is computed again on the way back.

    ``strength`` is that of img2img; other edits start from noise. Models of flow matching (Stable
    Diffusion 3, FLUX.1, Qwen-Image-Edit) need scheduler=flow and eta=0. ``target`` is "gray" or an
    image file, stretched to the photo's shape, recorded as ``path#digest`` of its pixels.
    """

    name = "diffusion"
    source = "PhotoGuard's diffusion attack (Salman et al. 2023, arXiv 2302.06588)"
    draws_noise = True

    budget: Budget = LinfBudget(radius=12.75 / 255)
    steps: int = Field(200, ge=1)
    step_size: Fraction = Field(0.003, gt=0, allow_inf_nan=False)
    target: str = "gray"
    prompt: str = ""
    negative_prompt: str = ""
    guidance_scale: float = Field(7.5, ge=0, allow_inf_nan=False)
    evaluations: int = Field(4, ge=1)
    strength: Fraction = Field(0.5, gt=0, le=1)
    scheduler: Literal["ddim", "plms", "flow"] = "ddim"
    eta: float = Field(1.0, ge=0, le=1)
    draws: int = Field(5, ge=1)
    draws_at_once: int = Field(1, ge=1)

    @field_validator("target")
    @classmethod
    def _add_digest(cls, target: str) -> str:
        return with_digest(target, "gray")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.draws % self.draws_at_once:
            raise ValueError(
                f"draws={self.draws} can't run {self.draws_at_once} at a time: "
                "draws_at_once must divide draws"
            )
        if self.scheduler != "ddim" and self.eta > 0:
            raise ValueError(
                f"eta={self.eta:g} needs scheduler=ddim: {self.scheduler} adds no noise"
            )
        if self.scheduler == "plms" and self.evaluations < 3:
            raise ValueError(
                "plms spends two evaluations on its first step and needs 3 evaluations"
            )
        return self

    @property
    def passes(self) -> int:
        """See `PGD.passes`."""
        return self.draws // self.draws_at_once

    @property
    def denoiser_gradients(self) -> int:
        """As `Protection.denoiser_gradients`; where a prompt guides, each is one of two rows."""
        guided = 1 if self.prompt == self.negative_prompt else 2
        return self.gradients * self.draws_at_once * self.evaluations * guided

    @property
    def decoder_gradients(self) -> int:
        """As `Protection.decoder_gradients`: one for each edit."""
        return self.gradients * self.draws_at_once

    def graphs_on(self, model: EditModel) -> int:
        """See `PGD.graphs_on`: a pass for each row that an evaluation runs."""
        return self.draws_at_once * model.denoiser.rows(self._guidance(model))

    def check_model(self, model: EditModel) -> None:
        """See `Protection.check_model`; whether there will be a mask isn't known yet."""
        task = "inpaint" if model.denoiser.hides_masked else task_of(model, None)
        chain.check_task(model, task)
        model.schedule(self.scheduler, num_inference_steps=self._steps(model, task), eta=self.eta)

    def prepare(self, model: EditModel, image: Tensor, *, mask: Mask, seeds: Seeds) -> "_Prepared":
        """The streams that all noise comes from, and empty stores of plans and targets."""
        return _Prepared(noise.generators(seeds) * self.draws_at_once)

    def objective(
        self,
        model: EditModel,
        perturbed: Tensor,
        image: Tensor,
        *,
        mask: Mask,
        seeds: Seeds,
        prepared: "_Prepared",
    ) -> Tensor:
        """Distance of the decoded edit to the target, (N,), the mean over the draws at once."""
        seen = model.fit(perturbed)
        if seen.shape not in prepared.plans:
            with torch.no_grad():
                plan = self._plan(model, seen, prepared.streams, task_of(model, mask))
                prepared.plans[seen.shape] = plan, target_image(self.target, seen)
        plan, target = prepared.plans[seen.shape]
        plan = with_new_noise(plan, prepared.streams)

        rows = seen.repeat(self.draws_at_once, 1, 1, 1)
        masks = None if mask is None else model.fit_mask(mask).repeat(self.draws_at_once, 1, 1, 1)
        start = chain.start(model, plan, rows, masks, recompute=True)
        distance = (
            (chain.finish(model, start, plan, recompute=True) - target).flatten(1).norm(dim=1)
        )
        return distance.view(self.draws_at_once, -1).mean(0)

    def _guidance(self, model: EditModel) -> float:
        # Between two equal prompts it changes nothing and costs half of the evaluations, except
        # where the image guides as well (three rows) or the scale is an input (one).
        by_prompt = model.denoiser.rows(self.guidance_scale) == 2
        equal = self.prompt == self.negative_prompt
        return 1.0 if by_prompt and equal else self.guidance_scale

    def _strength(self, task: Task) -> float:
        return self.strength if task == "img2img" else 1.0

    def _steps(self, model: EditModel, task: Task) -> int:
        # PLMS spends two evaluations on its first step.
        running = self.evaluations - (self.scheduler == "plms")
        return model.denoiser.steps_for(running, self._strength(task))

    def _plan(
        self, model: EditModel, seen: Tensor, streams: list[torch.Generator], task: Task
    ) -> chain.EditPlan:
        """The edit of fitted photos without its noise, which is drawn for each gradient."""
        return chain.plan(
            model,
            prompts=[self.prompt] * len(streams),
            streams=[torch.Generator().manual_seed(0) for _ in streams],
            shape=seen.shape[-2:],
            num_inference_steps=self._steps(model, task),
            strength=self._strength(task),
            guidance_scale=self._guidance(model),
            image_guidance_scale=IMAGE_GUIDANCE,
            eta=self.eta,
            negative_prompt=self.negative_prompt,
            scheduler=self.scheduler,
            task=task,
            differentiable=True,
        )


def task_of(model: EditModel, mask: Mask) -> Task:
    """What an attacker with this model does to a photo."""
    if mask is not None:
        return "inpaint"
    instructed = model.denoiser.why_not("img2img") and not model.denoiser.why_not("instruct")
    return "instruct" if instructed else "img2img"


@dataclass
class _Prepared:
    """What all steps share: one noise stream a row, and plan and target by the input's shape."""

    streams: list[torch.Generator]
    plans: dict[torch.Size, tuple[chain.EditPlan, Tensor]] = field(default_factory=dict)


def with_new_noise(plan: chain.EditPlan, streams: Sequence[torch.Generator]) -> chain.EditPlan:
    """The same edit under other noise, row i drawn from stream i."""

    def draw(old: Tensor | None) -> Tensor | None:
        return None if old is None else noise.gaussian(old.shape[1:], streams).to(old)

    drawn = draw(plan.noise)
    assert drawn is not None
    return replace(
        plan,
        noise=drawn,
        encoder_noise=draw(plan.encoder_noise),
        masked_noise=draw(plan.masked_noise),
        step_noise=tuple(draw(old) for old in plan.step_noise),
    )

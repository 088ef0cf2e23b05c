"""The chain: an edit, denoised step by step. Editors run it, and protections differentiate it.

An edit is planned once (`plan`: prompts, timesteps, all of its noise), started (`start`: from an
image, or from none) and denoised (`denoise`; `finish` decodes as well). All but the plan depend on
the image. What differs between architectures is the model's `Denoiser`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import compress
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from brittle import noise
from brittle.errors import UserError
from brittle.models.denoisers import Condition, Denoiser, Task
from brittle.models.edit_model import EditModel
from brittle.models.flow_schedulers import FLOW
from brittle.models.schedulers import AnyScheduler, State


@dataclass(frozen=True)
class EditPlan:
    """All of an edit that doesn't depend on its image; N images of latents (N, C, h, w)."""

    task: Task
    scheduler: AnyScheduler
    strength: float
    condition: Condition
    noise: Tensor
    encoder_noise: Tensor | None
    """For autoencoders whose latents are a distribution: where in it the image's lie."""
    masked_noise: Tensor | None
    """The same for the masked image of inpainting."""
    step_noise: tuple[Tensor | None, ...]
    """One for each evaluation; None unless eta is above 0."""

    @property
    def evaluations(self) -> int:
        """How often the denoiser runs, guidance included."""
        return len(self.scheduler.timesteps)


@dataclass(frozen=True)
class Start:
    """Where the denoising of an image starts, and what holds it to the image."""

    latents: Tensor
    condition: Condition
    """The plan's, with what the denoiser is shown of the image."""
    mask: Tensor | None = None
    """(N, 1, h, w), 1 where the editor may paint; the rest is put back after every step."""
    kept: Tensor | None = None
    """(N, C, h, w): the image's clean latents, to put back."""


def plain_scheduler(model: EditModel) -> str:
    """The scheduler of a plan that draws nothing on its way: DDIM, or flow matching's own."""
    return FLOW if model.denoiser.scheduler_name(None) == FLOW else "ddim"


def plan(
    model: EditModel,
    *,
    prompts: Sequence[str],
    streams: Sequence[torch.Generator],
    shape: Sequence[int],
    num_inference_steps: int,
    strength: float = 1.0,
    guidance_scale: float,
    image_guidance_scale: float = 1.0,
    eta: float = 0.0,
    negative_prompt: str = "",
    scheduler: str | None = None,
    task: Task = "img2img",
    differentiable: bool = False,
) -> EditPlan:
    """Compute and draw what an edit of N images of (height, width) ``shape`` needs.

    The task "generate" has no image: N pictures are made from their prompts.

    ``streams`` holds one generator an image; noise is drawn from it in the order of diffusers'
    pipelines, so seed N gives what their generator gives with seed N.

    Raises:
        UserError: settings that can't run; a scheduler without gradients where ``differentiable``;
            a model that can't run the task.
    """
    denoiser = check_task(model, task)
    schedule = model.schedule(
        scheduler,
        num_inference_steps=num_inference_steps,
        strength=strength,
        eta=eta,
        streams=streams,
        shape=shape,
    )
    if differentiable and not schedule.differentiable:
        raise UserError(
            "No gradient goes through this model's scheduler: choose scheduler=ddim or plms."
        )
    latent = (model.latent_channels, *(side // model.factor for side in shape))
    draw = partial(noise.gaussian, latent, streams)
    samples = model.has_latent_distribution
    encoder_noise = draw() if samples and _reads_image(denoiser, task, strength) else None
    latent_noise = draw()
    masked_noise = draw() if samples and task == "inpaint" else None
    return EditPlan(
        task=task,
        scheduler=schedule,
        strength=strength,
        condition=denoiser.condition(
            prompts,
            [negative_prompt] * len(prompts),
            shape=shape,
            guidance_scale=guidance_scale,
            image_guidance_scale=image_guidance_scale,
        ),
        noise=latent_noise.to(model.device),
        encoder_noise=_on(model.device, encoder_noise),
        masked_noise=_on(model.device, masked_noise),
        step_noise=tuple(draw().to(model.device) if eta > 0 else None for _ in schedule.timesteps),
    )


def check_task(model: EditModel, task: Task) -> Denoiser:
    """The model's denoiser.

    Raises:
        UserError: it can't run such an edit.
    """
    denoiser = model.denoiser
    if why := denoiser.why_not(task):
        raise UserError(why)
    return denoiser


def _reads_image(denoiser: Denoiser, task: Task, strength: float) -> bool:
    """Whether the image's own latents are needed, to start from or to put back."""
    inpaint = task == "inpaint" and (
        strength < 1 or not denoiser.hides_masked or denoiser.always_encodes
    )
    return task == "img2img" or inpaint


def start(
    model: EditModel,
    plan: EditPlan,
    image: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    recompute: bool = False,
) -> Start:
    """Where the edit of ``image`` (N, 3, H, W), already fitted, starts; None: from noise alone.

    img2img noises the image's latents. Inpainting does so at a strength below 1; ``mask``
    (N, 1, H, W) is at least 0.5 where the editor may paint, and unless the denoiser sees the mask,
    the image's latents are put back around it after every step. With ``recompute``, the backward
    pass reads the image again instead of storing activations.
    """
    latents = plan.noise * plan.scheduler.initial_scale
    if image is None:
        return Start(latents, plan.condition)
    denoiser, image = model.denoiser, image.to(model.device)
    if mask is not None:
        mask = (mask.to(model.device) >= 0.5).to(image.dtype)
    kept = None
    if _reads_image(denoiser, plan.task, plan.strength):
        (kept,) = _run(recompute, partial(_encode, model, plan.encoder_noise), image)
        if plan.task == "img2img" or plan.strength < 1:
            latents = plan.scheduler.noised(kept, plan.noise, 0)
    shown = _run(recompute, partial(_show, model, plan, mask), image)
    condition = replace(plan.condition, shown=shown)
    if mask is None or denoiser.hides_masked:
        return Start(latents, condition)
    return Start(latents, condition, F.interpolate(mask, size=latents.shape[-2:]), kept)


def denoise(
    model: EditModel, start: Start, plan: EditPlan, *, recompute: bool = False
) -> Iterator[Tensor]:
    """Yield the latents (N, C, h, w) after each evaluation; the last are those to decode.

    With ``recompute``, the backward pass runs each step again instead of storing its activations,
    so memory doesn't grow with the number of steps.
    """
    state: State = (start.latents,)
    for index in range(plan.evaluations):
        step = partial(_step, model, start, plan, index)
        inputs = (start.kept, *start.condition.shown, *state)
        state = _run(recompute and index < plan.evaluations - 1, step, *inputs)
        yield state[0]


def finish(model: EditModel, start: Start, plan: EditPlan, *, recompute: bool = False) -> Tensor:
    """The image (N, 3, H, W) that a start ends in, in units of [0, 1] and not clamped."""
    *_, latents = denoise(model, start, plan, recompute=recompute)
    return model.decode(latents)


def _encode(model: EditModel, noise: Tensor | None, image: Tensor) -> State:
    return (model.encode(image, noise=noise),)


def _show(model: EditModel, plan: EditPlan, mask: Tensor | None, image: Tensor) -> State:
    def encode(image: Tensor, noise: Tensor | None) -> Tensor:
        return model.encode(image, noise=noise)

    return model.denoiser.show(plan.task, image, mask, encode, plan.masked_noise, plan.condition)


def _run(recompute: bool, step: Callable[..., State], *inputs: Tensor | None) -> State:
    """What a step makes of its inputs; with ``recompute``, they are all that is kept of it."""
    made: State = _Recomputed.apply(step, *inputs) if recompute else step(*inputs)
    return made


class _Recomputed(torch.autograd.Function):
    """A step of which only the inputs are kept.

    torch's own checkpoint keeps each step's graph as well, a megabyte or so for a small denoiser.
    """

    @staticmethod
    def forward(ctx: Any, step: Callable[..., State], *inputs: Tensor | None) -> State:
        ctx.step = step
        ctx.save_for_backward(*inputs)
        return step(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        needed = ctx.needs_input_grad[1:]
        inputs = [
            tensor if tensor is None else tensor.detach().requires_grad_(need)
            for tensor, need in zip(ctx.saved_tensors, needed, strict=True)
        ]
        with torch.enable_grad():
            outputs = ctx.step(*inputs)
        depend = [output.requires_grad for output in outputs]
        found = iter(
            torch.autograd.grad(
                [*compress(outputs, depend)],
                [*compress(inputs, needed)],
                [*compress(gradients, depend)],
                allow_unused=True,
            )
        )
        return None, *(next(found) if need else None for need in needed)


def _step(
    model: EditModel,
    start: Start,
    plan: EditPlan,
    index: int,
    kept: Tensor | None,
    *tensors: Tensor,
) -> State:
    """One step; ``tensors`` are what the denoiser is shown, then the scheduler's state."""
    count = len(start.condition.shown)
    condition, state = replace(start.condition, shown=tensors[:count]), tensors[count:]
    noisy = plan.scheduler.scaled(state[0], index)
    output = model.denoiser.predict(noisy, plan.scheduler.timesteps[index], condition)
    latents, *memory = plan.scheduler.step(index, output, state, plan.step_noise[index])
    if start.mask is not None and kept is not None:
        last = index == plan.evaluations - 1
        kept = kept if last else plan.scheduler.noised(kept, plan.noise, index + 1)
        latents = (1 - start.mask) * kept + start.mask * latents
    return latents, *memory


def _on(device: torch.device, tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.to(device)

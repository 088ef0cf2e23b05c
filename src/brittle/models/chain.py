"""The chain: an edit, denoised step by step. Editors run it, and protections differentiate it.

An edit is planned once (`plan`: prompts, timesteps, all of its noise), started from an image
(`start_img2img`, `start_inpaint`) and denoised (`denoise`; `finish`
decodes as well). All but the plan depend on the image. `start_noise` starts from no image at all.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from brittle import noise
from brittle.errors import UserError
from brittle.models.edit_model import EditModel
from brittle.models.schedulers import AnyScheduler, State, make_scheduler


@dataclass(frozen=True)
class Plan:
    """All of an edit that doesn't depend on its image; N images of latents (N, C, h, w)."""

    scheduler: AnyScheduler
    strength: float
    guidance_scale: float
    embeddings: Tensor
    """(N, tokens, width); with guidance (2N, ...), those of the negative prompt first."""
    noise: Tensor
    encoder_noise: Tensor | None
    """For autoencoders whose latents are a distribution: where in it the image's lie."""
    masked_noise: Tensor | None
    """The same for the masked image of inpainting."""
    step_noise: tuple[Tensor | None, ...]
    """One for each evaluation; None unless eta is above 0."""

    @property
    def evaluations(self) -> int:
        """How often the UNet runs; with guidance on 2N rows each."""
        return len(self.scheduler.timesteps)


@dataclass(frozen=True)
class Start:
    """Where the denoising of an image starts, and what holds it to the image when inpainting."""

    latents: Tensor
    channels: Tensor | None = None
    """(N, 1 + C, h, w), mask and masked image: more input for a UNet made for inpainting."""
    mask: Tensor | None = None
    """(N, 1, h, w), 1 where the editor may paint; the rest is put back after every step."""
    kept: Tensor | None = None
    """(N, C, h, w): the image's clean latents, to put back."""


def plan(
    model: EditModel,
    *,
    prompts: Sequence[str],
    streams: Sequence[torch.Generator],
    shape: Sequence[int],
    num_inference_steps: int,
    strength: float,
    guidance_scale: float,
    eta: float = 0.0,
    negative_prompt: str = "",
    scheduler: str | None = None,
    inpaint: bool = False,
    from_noise: bool = False,
    differentiable: bool = False,
) -> Plan:
    """Compute and draw what an edit of N images of (height, width) ``shape`` needs.

    With ``from_noise`` there is no image, and N pictures are made from their prompts.

    ``streams`` holds one generator an image; noise is drawn from it in the order of diffusers'
    pipelines, so seed N gives what their generator gives with seed N.

    Raises:
        UserError: settings that can't run; a scheduler without gradients where ``differentiable``;
            a UNet that doesn't fit the task.
    """
    schedule = make_scheduler(
        model.scheduler_config,
        scheduler,
        num_inference_steps=num_inference_steps,
        strength=strength,
        eta=eta,
        streams=streams,
        device=model.device,
    )
    if differentiable and not schedule.differentiable:
        raise UserError(
            "No gradient goes through this model's scheduler: choose scheduler=ddim or plms."
        )
    concatenates = check_inputs(model, inpaint=inpaint)
    latent = (model.latent_channels, *(side // model.factor for side in shape))
    draw = partial(noise.gaussian, latent, streams)
    needs_image = not from_noise and (not inpaint or not concatenates or strength < 1)
    encoder_noise = draw() if model.has_latent_distribution and needs_image else None
    latent_noise = draw()
    masked_noise = draw() if model.has_latent_distribution and inpaint else None
    guided = guidance_scale > 1
    texts = [negative_prompt] * len(prompts) * guided + list(prompts)
    return Plan(
        scheduler=schedule,
        strength=strength,
        guidance_scale=guidance_scale,
        embeddings=model.embed(texts),
        noise=latent_noise.to(model.device),
        encoder_noise=_on(model.device, encoder_noise),
        masked_noise=_on(model.device, masked_noise),
        step_noise=tuple(draw().to(model.device) if eta > 0 else None for _ in schedule.timesteps),
    )


def check_inputs(model: EditModel, *, inpaint: bool) -> bool:
    """Whether a model's UNet was made for inpainting: it reads mask and masked image as well.

    Raises:
        UserError: it can't run such an edit.
    """
    concatenates = model.unet_channels == 2 * model.latent_channels + 1
    if concatenates and not inpaint:
        raise UserError(f"{model.name} is made for inpainting: use the editor inpaint with a mask.")
    if not concatenates and model.unet_channels != model.latent_channels:
        raise UserError(
            f"{model.name} has a UNet of {model.unet_channels} input channels for latents of "
            f"{model.latent_channels}: brittle knows no such edit."
        )
    return concatenates


def start_img2img(model: EditModel, image: Tensor, plan: Plan, *, recompute: bool = False) -> Start:
    """Noise the latents of ``image`` (N, 3, H, W), already fitted, to where the edit starts.

    With ``recompute``, the backward pass encodes again instead of storing activations.
    """
    latents = _encode(model, image, plan.encoder_noise, recompute)
    return Start(plan.scheduler.noised(latents, plan.noise, 0))


def start_noise(plan: Plan) -> Start:
    """Pure noise: a picture is made from its prompt alone, as diffusers' text-to-image does."""
    return Start(plan.noise * plan.scheduler.initial_scale)


def start_inpaint(
    model: EditModel, image: Tensor, mask: Tensor, plan: Plan, *, recompute: bool = False
) -> Start:
    """As `start_img2img`; ``mask`` (N, 1, H, W) is at least 0.5 where the editor may paint.

    A UNet made for inpainting sees the mask and the masked image; any other has the image's latents
    put back around the mask after every step.
    """
    image = image.to(model.device)
    mask = (mask.to(model.device) >= 0.5).to(image.dtype)
    small = F.interpolate(mask, size=plan.noise.shape[-2:])
    concatenates = model.unet_channels != model.latent_channels
    latents = plan.noise * plan.scheduler.initial_scale
    if plan.strength < 1 or not concatenates:
        clean = _encode(model, image, plan.encoder_noise, recompute)
        if plan.strength < 1:
            latents = plan.scheduler.noised(clean, plan.noise, 0)
    if not concatenates:
        return Start(latents, mask=small, kept=clean)
    # Half of [0, 1] is what diffusers' masked image holds in [-1, 1]: zero.
    masked = _encode(model, image * (1 - mask) + 0.5 * mask, plan.masked_noise, recompute)
    return Start(latents, channels=torch.cat([small, masked], dim=1))


def denoise(
    model: EditModel, start: Start, plan: Plan, *, recompute: bool = False
) -> Iterator[Tensor]:
    """Yield the latents (N, C, h, w) after each evaluation; the last are those to decode.

    With ``recompute``, the backward pass runs each step again instead of storing its activations,
    so memory doesn't grow with the number of steps.
    """
    state: State = (start.latents,)
    for index in range(plan.evaluations):
        if recompute and index < plan.evaluations - 1:
            step = partial(_step, model, start, plan, index)
            state = _Recomputed.apply(step, start.channels, start.kept, *state)
        else:
            state = _step(model, start, plan, index, start.channels, start.kept, *state)
        yield state[0]


def finish(model: EditModel, start: Start, plan: Plan, *, recompute: bool = False) -> Tensor:
    """The image (N, 3, H, W) that a start ends in, in units of [0, 1] and not clamped."""
    *_, latents = denoise(model, start, plan, recompute=recompute)
    return model.decode(latents)


def steps_for(evaluations: int, strength: float) -> int:
    """How many steps a schedule has of which img2img, at this strength, runs ``evaluations``."""
    count = math.ceil(evaluations / strength)
    return count + (int(count * strength) < evaluations)


def _encode(model: EditModel, image: Tensor, noise: Tensor | None, recompute: bool) -> Tensor:
    def encode(image: Tensor) -> State:
        return (model.encode(image, noise=noise),)

    (latents,) = _Recomputed.apply(encode, image) if recompute else encode(image)
    return latents


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
    plan: Plan,
    index: int,
    channels: Tensor | None,
    kept: Tensor | None,
    *state: Tensor,
) -> State:
    output = _guided(model, channels, plan, index, state[0])
    latents, *memory = plan.scheduler.step(index, output, state, plan.step_noise[index])
    if start.mask is not None and kept is not None:
        last = index == plan.evaluations - 1
        kept = kept if last else plan.scheduler.noised(kept, plan.noise, index + 1)
        latents = (1 - start.mask) * kept + start.mask * latents
    return latents, *memory


def _guided(
    model: EditModel, channels: Tensor | None, plan: Plan, index: int, latents: Tensor
) -> Tensor:
    """What the UNet says, without and with the prompt in one evaluation, and guidance between."""
    guided = plan.guidance_scale > 1
    inputs = plan.scheduler.scaled(latents, index)
    if channels is not None:
        inputs = torch.cat([inputs, channels], dim=1)
    if guided:
        inputs = torch.cat([inputs, inputs])
    output = model.predict(inputs, plan.scheduler.timesteps[index], plan.embeddings)
    if not guided:
        return output
    without, with_prompt = output.chunk(2)
    return without + plan.guidance_scale * (with_prompt - without)


def _on(device: torch.device, tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.to(device)

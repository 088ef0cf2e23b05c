"""Flow matching: latents move along the straight line from noise to image, in Euler steps.

At the noise level sigma the latents are (1 - sigma) x image + sigma x noise, and a model predicts
the line's direction, noise - image (Lipman et al. 2023, arXiv:2210.02747; Esser et al. 2024,
arXiv:2403.03206).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from brittle.errors import UserError
from brittle.models.schedulers import State
from brittle.silence import silence

FLOW, CLASS_NAME = "flow", "FlowMatchEulerDiscreteScheduler"
"""The scheduler's name, and diffusers' for it."""
_UNSUPPORTED = {
    "stochastic_sampling": "draws noise at every step",
    "invert_sigmas": "counts its noise levels upwards",
}
"""Settings of diffusers' class under which it computes something else."""


@dataclass(frozen=True)
class FlowEuler:
    """The noise levels of the evaluations that run, and of the end; see `make_flow_scheduler`."""

    timesteps: tuple[Tensor, ...]
    sigmas: Tensor
    """One more than there are timesteps; like them float32, on the CPU."""
    differentiable = True
    initial_scale = 1.0

    def noised(self, latents: Tensor, noise: Tensor, index: int) -> Tensor:
        """As `AnyScheduler.noised`."""
        sigma = self.sigmas[index]
        return sigma * noise + (1.0 - sigma) * latents

    def scaled(self, latents: Tensor, index: int) -> Tensor:
        """As `AnyScheduler.scaled`: as they are."""
        return latents

    def step(self, index: int, output: Tensor, state: State, noise: Tensor | None) -> State:
        """As `AnyScheduler.step`: follow the predicted direction to the next noise level."""
        (latents,) = state
        return (latents + (self.sigmas[index + 1] - self.sigmas[index]) * output,)


def make_flow_scheduler(
    config: Mapping[str, Any],
    *,
    num_inference_steps: int,
    strength: float = 1.0,
    tokens: int,
    even: bool = False,
) -> FlowEuler:
    """The scheduler of an edit: the last ``strength`` of ``num_inference_steps``.

    ``config`` is a model's scheduler_config.json. Where it asks for dynamic shifting, the noise
    levels are moved toward noise by the number of image ``tokens`` that the transformer sees.
    ``even`` starts from the levels 1, (n - 1) / n … 1 / n, as diffusers' FLUX pipelines do; else
    from the scheduler's own, as its Stable Diffusion 3 pipelines do.

    As in those pipelines the last ceil(strength x num_inference_steps) steps run, so at least one.

    Raises:
        UserError: more steps than the model was trained with; a `why_not_flow`.
    """
    from diffusers import FlowMatchEulerDiscreteScheduler

    if why := why_not_flow(config):
        raise UserError(why)
    trained = int(config.get("num_train_timesteps", 1000))
    if not 1 <= num_inference_steps <= trained:
        raise UserError(
            f"num_inference_steps={num_inference_steps}: this model has 1 to {trained} steps."
        )
    with silence():
        theirs = FlowMatchEulerDiscreteScheduler.from_config(dict(config))
        theirs.set_timesteps(
            num_inference_steps,
            sigmas=np.linspace(1.0, 1 / num_inference_steps, num_inference_steps) if even else None,
            mu=_moved_by(theirs.config, tokens) if theirs.config.use_dynamic_shifting else None,
        )
    if not theirs.sigmas.isfinite().all():
        raise UserError(
            f"num_inference_steps={num_inference_steps}: this model's scheduler has no such "
            f"schedule; take more steps."
        )
    skipped = num_inference_steps - _running(num_inference_steps, strength)
    return FlowEuler(
        timesteps=tuple(theirs.timesteps[skipped:]),
        sigmas=theirs.sigmas[skipped:],
    )


def training_levels(config: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """The noise levels (T,) that a model was trained at, from the lowest, and their timesteps.

    Where the shift depends on the image's size, they are evenly spaced.

    Raises:
        UserError: a `why_not_flow`.
    """
    from diffusers import FlowMatchEulerDiscreteScheduler

    if why := why_not_flow(config):
        raise UserError(why)
    with silence():
        theirs = FlowMatchEulerDiscreteScheduler.from_config(dict(config))
    return theirs.sigmas.flip(0), theirs.timesteps.flip(0)


def steps_for(evaluations: int, strength: float) -> int:
    """How many steps a schedule has of which, at this strength, ``evaluations`` run."""
    count = int(evaluations / strength)
    return count - (_running(count, strength) > evaluations)


def why_not_flow(config: Mapping[str, Any]) -> str:
    """Why `FlowEuler` doesn't compute a model's scheduler, in a sentence; nothing if it does."""
    name = config.get("_class_name", CLASS_NAME)
    if name != CLASS_NAME:
        return (
            f"This model denoises by flow matching, which brittle follows with the scheduler "
            f"{CLASS_NAME}, and its scheduler_config.json asks for {name}."
        )
    for key, meaning in _UNSUPPORTED.items():
        if config.get(key):
            return (
                f"This model's scheduler_config.json says {key}, with which the scheduler "
                f"{meaning}: brittle has no such scheduler."
            )
    return ""


def _running(steps: int, strength: float) -> int:
    """How many steps run; the difference is diffusers', whose rounding decides between two."""
    return steps - int(steps - min(steps * strength, steps))


def _moved_by(config: Mapping[str, Any], tokens: int) -> float:
    """The shift's exponent: a line through two numbers of image tokens and their shifts."""
    fewest, most = config["base_image_seq_len"], config["max_image_seq_len"]
    slope = (config["max_shift"] - config["base_shift"]) / (most - fewest)
    return float(tokens * slope + (config["base_shift"] - slope * fewest))

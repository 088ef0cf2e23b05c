"""Schedulers as pure functions: what one remembers goes in and comes out of every step.

So a step may be differentiated, and run a second time by checkpointing. DDIM and PLMS are written
out; any other of diffusers' schedulers serves editing only, through its own object. The chain knows
none of them, only `AnyScheduler`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from brittle.component import unknown
from brittle.errors import UserError
from brittle.silence import silence

State = tuple[Tensor, ...]
"""The latents, then whatever the scheduler remembers."""

STABLE_DIFFUSION = {"steps_offset": 1, "clip_sample": False}
"""What diffusers' pipelines of Stable Diffusion 1.x and 2.x overwrite, whatever the file says."""

_ADAMS_BASHFORTH = {
    1: (1, (1,)),
    2: (2, (3, -1)),
    3: (12, (23, -16, 5)),
    4: (24, (55, -59, 37, -9)),
}
"""Divisor and weights of the last outputs, newest first, by how many there are."""


class AnyScheduler(Protocol):
    """What the chain asks of a scheduler, of alphas or of sigmas."""

    @property
    def timesteps(self) -> Sequence[int | Tensor]:
        """What the denoiser is told of the noise at each evaluation that runs, first to last."""

    @property
    def differentiable(self) -> bool:
        """Whether steps may be differentiated and run again."""

    @property
    def initial_scale(self) -> float:
        """The deviation of pure noise at the first evaluation of a whole schedule."""

    def noised(self, latents: Tensor, noise: Tensor, index: int) -> Tensor:
        """Clean latents at the noise level of the evaluation ``index``."""

    def scaled(self, latents: Tensor, index: int) -> Tensor:
        """The latents as the denoiser wants them."""

    def step(self, index: int, output: Tensor, state: State, noise: Tensor | None) -> State:
        """The state after the evaluation ``index`` gave ``output``."""


@dataclass(frozen=True)
class Scheduler:
    """The noise levels, and the timesteps of the evaluations that run, first to last.

    Coefficients are float32 scalars on the CPU, in the order of diffusers' operations: both agree
    to the last digits.
    """

    timesteps: tuple[int, ...]
    stride: int
    alphas: Tensor
    final_alpha: Tensor
    prediction: str
    differentiable = True
    initial_scale = 1.0

    def alpha(self, timestep: int) -> Tensor:
        """The share of the variance that is signal at a timestep; the end lies below 0."""
        return self.alphas[timestep] if timestep >= 0 else self.final_alpha

    def noised(self, latents: Tensor, noise: Tensor, index: int) -> Tensor:
        """As `AnyScheduler.noised`."""
        alpha = self.alpha(self.timesteps[index])
        return alpha**0.5 * latents + (1 - alpha) ** 0.5 * noise

    def scaled(self, latents: Tensor, index: int) -> Tensor:
        """As `AnyScheduler.scaled`: as they are."""
        return latents

    def step(self, index: int, output: Tensor, state: State, noise: Tensor | None) -> State:
        """As `AnyScheduler.step`."""
        raise NotImplementedError


@dataclass(frozen=True)
class DDIM(Scheduler):
    """Denoising diffusion implicit models (Song et al. 2021, equation 12); ``eta`` adds noise."""

    eta: float = 0.0

    def step(self, index: int, output: Tensor, state: State, noise: Tensor | None) -> State:
        """One step of equation 12; ``noise`` is needed where eta is above 0."""
        (latents,) = state
        timestep = self.timesteps[index]
        here, there = self.alpha(timestep), self.alpha(timestep - self.stride)
        if self.prediction == "v_prediction":
            clean = here**0.5 * latents - (1 - here) ** 0.5 * output
            residual = here**0.5 * output + (1 - here) ** 0.5 * latents
        else:
            clean = (latents - (1 - here) ** 0.5 * output) / here**0.5
            residual = output
        sigma = self.eta * ((1 - there) / (1 - here) * (1 - here / there)) ** 0.5
        latents = there**0.5 * clean + (1 - there - sigma**2) ** 0.5 * residual
        return (latents if noise is None else latents + sigma * noise,)


@dataclass(frozen=True)
class PLMS(Scheduler):
    """Pseudo linear multistep (Liu et al. 2022, equations 9 and 12), as Stable Diffusion runs it.

    It remembers the last three outputs, newest first; between the first evaluation and the second,
    which takes the first step again, the latents at the start and the first output.
    """

    def step(self, index: int, output: Tensor, state: State, noise: Tensor | None) -> State:
        """One multistep; the second evaluation takes the first step again, with a better slope."""
        latents, *memory = state
        timestep = self.timesteps[index]
        if index == 1:
            start, first = memory
            moved = self._move((output + first) / 2, start, timestep + self.stride, timestep)
            return moved, first
        outputs = (output, *memory)
        divisor, weights = _ADAMS_BASHFORTH[len(outputs)]
        slope = weights[0] * output
        for weight, past in zip(weights[1:], memory, strict=True):
            slope = slope + weight * past
        moved = self._move(slope / divisor, latents, timestep, timestep - self.stride)
        return (moved, latents, output) if index == 0 else (moved, *outputs[:3])

    def _move(self, output: Tensor, latents: Tensor, timestep: int, target: int) -> Tensor:
        here, there = self.alpha(timestep), self.alpha(target)
        if self.prediction == "v_prediction":
            output = here**0.5 * output + (1 - here) ** 0.5 * latents
        slope = here * (1 - there) ** 0.5 + (here * (1 - here) * there) ** 0.5
        return (there / here) ** 0.5 * latents - (there - here) * output / slope


class Foreign:
    """One of diffusers' schedulers behind the same face: for a single run, without gradients."""

    differentiable = False

    def __init__(
        self, scheduler: Any, timesteps: Tensor, streams: Sequence[torch.Generator]
    ) -> None:
        import inspect

        self.scheduler = scheduler
        self.timesteps = tuple(timesteps)
        self.initial_scale = float(scheduler.init_noise_sigma)
        # What diffusers' pipelines pass, whatever the scheduler's own default is (TCD's is .3).
        passed = {"eta": 0.0, "generator": list(streams)}
        taken = inspect.signature(scheduler.step).parameters
        self.extra = {name: value for name, value in passed.items() if name in taken}

    def noised(self, latents: Tensor, noise: Tensor, index: int) -> Tensor:
        """As `AnyScheduler.noised`."""
        timestep = self.timesteps[index].repeat(len(latents))
        noised: Tensor = self._run("add_noise", latents, noise, timestep)
        return noised

    def scaled(self, latents: Tensor, index: int) -> Tensor:
        """As `AnyScheduler.scaled`."""
        scaled: Tensor = self._run("scale_model_input", latents, self.timesteps[index])
        return scaled

    def step(self, index: int, output: Tensor, state: State, noise: Tensor | None) -> State:
        """As `AnyScheduler.step`; what is remembered stays inside diffusers' object."""
        timestep = self.timesteps[index]
        result = self._run("step", output, timestep, *state, **self.extra, return_dict=False)
        return (result[0],)

    def _run(self, method: str, *given: Any, **named: Any) -> Any:
        """Call diffusers' object; what it can't compute with these settings is UserError."""
        try:
            return getattr(self.scheduler, method)(*given, **named)
        except _REFUSALS as error:
            raise _cannot_run(type(self.scheduler).__name__, error) from error


_REFUSALS = (ValueError, TypeError, NotImplementedError, IndexError, AttributeError)
"""What diffusers' schedulers raise where settings do not go together."""
_USED_BY_PIPELINES = ("set_timesteps", "add_noise", "scale_model_input", "step", "order")
_UNSAID = {"skip_prk_steps": True, "clip_sample": False}
"""What latents want where another scheduler's configuration says nothing of it."""
_MEANINGS = {"prediction_type": "epsilon", "rescale_betas_zero_snr": False}
"""What of a configuration says how the model was trained, with what a file without it means."""


def _cannot_run(name: str, reason: object) -> UserError:
    said = next((line.strip() for line in str(reason).splitlines() if line.strip()), "no reason")
    return UserError(
        f"The scheduler {name} can't run these settings: {said.rstrip('.')}; try scheduler=ddim or "
        f"another number of steps."
    )


def scheduler_name(config: Mapping[str, Any], name: str | None = None) -> str:
    """``ddim``, ``plms``, or the name of another of diffusers' classes; by default the model's own.

    Raises:
        UserError: diffusers has no such scheduler for these models.
    """
    import diffusers
    from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers

    name = name or str(config.get("_class_name", "PNDMScheduler"))
    classes = {member.name for member in KarrasDiffusionSchedulers}
    short = {"DDIMScheduler": "ddim", "PNDMScheduler": "plms", "pndm": "plms"}
    known = [*sorted(set(short.values())), *sorted(classes - set(short))]
    name = short.get(name, name)
    if name not in known and f"{name}Scheduler" in known:
        name = f"{name}Scheduler"
    own = name == config.get("_class_name") and hasattr(diffusers, name)
    if name not in known and not own:
        raise UserError(unknown("scheduler", name, known))
    return name


def make_scheduler(
    config: Mapping[str, Any],
    name: str | None = None,
    *,
    num_inference_steps: int,
    strength: float = 1.0,
    eta: float = 0.0,
    streams: Sequence[torch.Generator] = (),
    device: torch.device | str = "cpu",
    changes: Mapping[str, Any] = STABLE_DIFFUSION,
) -> AnyScheduler:
    """The scheduler of an edit: the last ``strength`` of ``num_inference_steps``.

    ``timesteps`` holds the evaluations that run, so its length is their true number. It is what
    diffusers' pipelines run: for PLMS at a strength below 1 one more than
    ``int(strength * num_inference_steps)``, with the multistep's start one step off.

    ``config`` is a model's scheduler_config.json, and ``changes`` what its pipelines overwrite in
    it; ``streams`` are for schedulers of diffusers that draw noise.

    Raises:
        UserError: nothing is left to run, more steps than the model was trained with, eta without
            DDIM, an unknown name.
    """
    import diffusers

    name = scheduler_name(config, name)
    trained = int(config.get("num_train_timesteps", 1000))
    if not 1 <= num_inference_steps <= trained:
        raise UserError(
            f"num_inference_steps={num_inference_steps}: this model has 1 to {trained} steps."
        )
    # The same product as diffusers', whose rounding decides between n and n - 1 steps.
    running = min(int(num_inference_steps * strength), num_inference_steps)
    if running < 1:
        raise UserError(
            f"strength={strength:g} of num_inference_steps={num_inference_steps} leaves no step to "
            f"run: raise one of them until their product is at least 1."
        )
    if eta > 0 and name != "ddim":
        raise UserError(f"eta={eta:g} needs scheduler=ddim: {name} has no such parameter.")

    class_name = {"ddim": "DDIMScheduler", "plms": "PNDMScheduler"}.get(name, name)
    cls = getattr(diffusers, class_name)
    try:
        _check_class(cls, name, config)
        with silence():
            theirs = cls.from_config({**_UNSAID, **config, **changes})
            theirs.set_timesteps(num_inference_steps, device=device)
    except UserError:
        raise
    except (*_REFUSALS, ImportError) as error:  # some need packages of their own
        raise _cannot_run(name, error) from error
    skipped = (num_inference_steps - running) * theirs.order
    timesteps = theirs.timesteps[skipped:]
    if not len(timesteps):
        raise _cannot_run(name, "no step is left to run")
    if not _is_written_out(name, theirs.config):
        if eta > 0:
            raise UserError(f"eta={eta:g} needs a DDIM scheduler without thresholding.")
        if hasattr(theirs, "set_begin_index"):
            theirs.set_begin_index(skipped)
        return Foreign(theirs, timesteps, streams)
    fields: dict[str, Any] = {
        "timesteps": tuple(int(timestep) for timestep in timesteps),
        "stride": trained // num_inference_steps,
        "alphas": theirs.alphas_cumprod.cpu(),
        "final_alpha": theirs.final_alpha_cumprod.cpu(),
        "prediction": theirs.config.prediction_type,
    }
    return DDIM(**fields, eta=eta) if name == "ddim" else PLMS(**fields)


def _check_class(cls: Any, name: str, config: Mapping[str, Any]) -> None:
    """Refuse a class that isn't for Stable Diffusion, or knows less than the configuration says."""
    import inspect

    lacking = [method for method in _USED_BY_PIPELINES if not hasattr(cls, method)]
    if lacking:
        raise UserError(
            f"The scheduler {name} isn't made for the models of Stable Diffusion's kind that "
            f"brittle edits with (it has no {lacking[0]}): choose scheduler=ddim or plms."
        )
    taken = inspect.signature(cls.__init__).parameters
    for key, plain in _MEANINGS.items():
        value = config.get(key)
        if value not in (None, plain) and key not in taken:
            raise UserError(
                f"This model was trained with {key}={value}, which the scheduler {name} doesn't "
                f"know: choose scheduler=ddim."
            )


def _is_written_out(name: str, config: Mapping[str, Any]) -> bool:
    known = config.get("prediction_type") in ("epsilon", "v_prediction")
    clips = config.get("thresholding") or config.get("clip_sample")
    plain = not clips and config.get("skip_prk_steps", True)
    return name in ("ddim", "plms") and known and plain

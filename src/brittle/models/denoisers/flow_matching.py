"""What denoisers of flow matching have in common: one scheduler, whatever its name in the files."""

import math
from collections.abc import Sequence

import torch

from brittle.errors import UserError
from brittle.models.configs import factor_of
from brittle.models.flow_schedulers import CLASS_NAME, FLOW, make_flow_scheduler, steps_for
from brittle.models.parts import Parts
from brittle.models.schedulers import AnyScheduler


class FlowMatching:
    """A denoiser that predicts the direction from image to noise; it comes before other bases."""

    parts: Parts
    patch = 1
    evenly_spaced = False
    """Whether diffusers' pipelines give the scheduler evenly spaced noise levels to begin with."""

    def scheduler_name(self, name: str | None) -> str:
        """As `Denoiser.scheduler_name`: there is one alone."""
        if name not in (None, FLOW, CLASS_NAME):
            raise UserError(
                f"{self.parts.name} denoises by flow matching, in the steps of a scheduler of its "
                f"own, and scheduler={name} was asked for: say scheduler={FLOW},eta=0."
            )
        return FLOW

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
        """As `Denoiser.schedule`; see `make_flow_scheduler`."""
        name = self.scheduler_name(name)
        if eta > 0:
            raise UserError(f"eta={eta:g} needs scheduler=ddim: {name} has no such parameter.")
        side = self.patch * factor_of(self.parts.files.config("vae"))
        return make_flow_scheduler(
            self.parts.files.config("scheduler"),
            num_inference_steps=num_inference_steps,
            strength=strength,
            tokens=math.prod(length // side for length in shape),
            even=self.evenly_spaced,
        )

    def steps_for(self, evaluations: int, strength: float) -> int:
        """As `Denoiser.steps_for`."""
        return steps_for(evaluations, strength)

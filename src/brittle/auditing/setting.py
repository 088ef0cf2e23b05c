"""How photos are audited on one model: by which editor and metric, and what is left out."""

from dataclasses import dataclass

import torch

from brittle.analysis.randomization_test import DRAWS, FIRST
from brittle.auditing.request import Request
from brittle.editors import Editor
from brittle.errors import Unavailable
from brittle.metrics import LPIPS, Calibration, Latent, Metric, Perceptual, Thresholds
from brittle.models import EditModel
from brittle.models.known import BROUGHT
from brittle.record.arms import NOISES

QUICK = "only the encoder was asked for (quick)"
BATCH = 2
"""Rows that go through the model at once, always: a row's bytes depend on that number."""
FURTHER = 12
"""Random perturbations that all lines of a photo may take beyond their first, in all."""
COMPARED = 3
"""What is edited beside random perturbations: the original, the protected file, a gray picture."""
LOOKED_AT = 7
"""Random perturbations of each kind that the encoder sees without a transform, unless more are
asked for: the answer hangs on that line, and a look costs little."""
TRANSPLANTS = 3
"""Draws of the perturbation itself, moved and mirrored, without a transform."""


@dataclass(frozen=True)
class Setting:
    """What is asked of one model; without an editor only what its encoder sees is compared."""

    model: EditModel
    request: Request
    editor: Editor | None
    why_no_edits: str
    metric: Metric
    """What edits are compared by."""
    metric_reason: str
    """Why not by LPIPS."""
    calibration: Calibration | None = None
    not_calibrated: str = ""

    @classmethod
    def of(cls, model: EditModel, request: Request) -> "Setting":
        """What can be asked of a model."""
        why_not = model.why_no_edits.rstrip(".") or (QUICK if request.quick else "")
        if why_not:
            return cls(model, request, None, why_not, Latent(), "")
        metric, reason = choose_metric(model)
        calibration, not_calibrated = None, ""
        try:
            calibration = Calibration.of(model)
        except Unavailable as error:
            not_calibrated = str(error)
        editor = request.editor.resolve(model)
        return cls(model, request, editor, "", metric, reason, calibration, not_calibrated)

    @property
    def first_draws(self) -> int:
        """Random perturbations of each kind that each line takes, whatever they show."""
        return DRAWS if self.request.thorough else FIRST

    @property
    def first_looks(self) -> int:
        """The same for what the encoder sees without a transform."""
        return self.request.draws or (DRAWS if self.request.thorough else LOOKED_AT)

    @property
    def most_draws(self) -> int:
        """Random perturbations of each kind that any line may take."""
        return max(DRAWS, self.first_looks)

    @property
    def rows_looked_at(self) -> int:
        """Rows of one photo that the encoder sees whatever they show, all lines together."""
        others = len(self.request.transforms) - 1
        kinds = len(NOISES)
        return 2 + TRANSPLANTS + kinds * self.first_looks + others * (2 + kinds * self.first_draws)

    @property
    def rows_at_least(self) -> int:
        """Rows of one photo that are edited whatever they show, all lines together."""
        each = COMPARED + len(NOISES) * self.first_draws
        return TRANSPLANTS + len(self.request.edited) * each

    @property
    def rows_at_most(self) -> int:
        """Rows of one photo that are edited at most."""
        every = TRANSPLANTS + len(self.request.edited) * (COMPARED + len(NOISES) * DRAWS)
        return min(every, self.rows_at_least + FURTHER)

    def thresholds(self, size: int) -> Thresholds:
        """What is usable of edits whose long side is ``size``.

        Raises:
            Unavailable: nobody knows.
        """
        if self.calibration is None:
            raise Unavailable(self.not_calibrated)
        return self.calibration.find(str(self.editor), size=size)


def choose_metric(model: EditModel) -> tuple[Metric, str]:
    """What edits are compared by, and why not by LPIPS where that was wanted.

    The perceptual distance on the embedded models, LPIPS on others, which results on Stable
    Diffusion are given in. Never the latent distance, which an encoder protection optimised.
    """
    if model.name in BROUGHT:
        return Perceptual(), ""
    picture = torch.zeros(1, 3, 64, 64)
    try:
        LPIPS().score(picture, picture)
    except Unavailable as error:
        return Perceptual(), str(error)
    return LPIPS(), ""

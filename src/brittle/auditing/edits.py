"""Edits of a photo's rows: how far from the control's, and whether an attacker could use them."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from brittle.auditing.document import UsableCounts
from brittle.auditing.views import CONTROL, GRAY, PLACEBOS, PROTECTED, Bench, distances, in_batches
from brittle.editors import Editor
from brittle.errors import Unavailable
from brittle.metrics import LPIPS, Calibration, Metric, Perceptual, Thresholds
from brittle.models import EditModel
from brittle.progress import Advance
from brittle.transforms import Transform


@dataclass(frozen=True)
class Judged:
    """Edits of all rows with one prompt: distances (ROWS,), 0 or 1 by row, some pictures."""

    distance: Tensor
    usable: dict[int, float]
    reason: str
    pictures: dict[int, Tensor]


@dataclass(frozen=True)
class Judge:
    """Makes edits on one model and judges them."""

    bench: Bench
    editor: Editor
    prompts: tuple[str, ...]
    metric: Metric
    metric_reason: str = ""
    thresholds: Thresholds | None = None
    not_calibrated: str = ""

    def edit(
        self, views: Tensor, photo: Tensor, transform: Transform, *, seed: int, advance: Advance
    ) -> list[Judged]:
        """Edit the rows (ROWS, 3, h, w) with each prompt; ``photo`` is the photo as it was."""
        found, seen = [], self.bench.model.fit(photo)
        size = photo.shape[-2:]
        back = partial(transform.restore, size=size, shape=seen.shape[-2:])
        for prompt in self.prompts:
            edited = in_batches(partial(self._edit, prompt, seed), views, advance)
            valid = transform.valid_of(edited[:1], size=size)
            apart = torch.tensor(
                [*distances(self.metric, edited, valid, self.bench.model)], dtype=torch.float64
            )
            usable, reason = self._usable(back(edited), seen, back(valid), prompt)
            pictures = {row: edited[row : row + 1] for row in (CONTROL, PROTECTED, PLACEBOS.start)}
            found.append(Judged(apart, usable, reason, pictures))
        return found

    def _edit(self, prompt: str, seed: int, rows: Tensor) -> Tensor:
        prompts, seeds = [prompt] * len(rows), [seed] * len(rows)
        return self.editor.edit(self.bench.model, rows, prompts=prompts, seeds=seeds)

    def _usable(
        self, edits: Tensor, photo: Tensor, shown: Tensor, prompt: str
    ) -> tuple[dict[int, float], str]:
        """Whether each row's edit is usable; the gray picture's is nobody's."""
        if self.thresholds is None:
            return {}, self.not_calibrated
        names = (self.thresholds.follow, self.thresholds.keep)
        follow, keep = (Metric.parse(name) for name in names)
        usable, model = {}, self.bench.model
        try:
            for row, edit in enumerate(edits.split(1)):
                if row != GRAY:
                    scores = [
                        metric.judge(edit, photo, shown=shown, prompt=prompt, model=model)
                        for metric in (follow, keep)
                    ]
                    usable[row] = self.thresholds.usable(scores[0], scores[1], prompt)
        except Unavailable as error:
            return {}, str(error)
        return usable, ""


def choose_metric(model: EditModel) -> tuple[Metric, str]:
    """What edits are compared by, and why not by LPIPS where that was wanted.

    The perceptual distance on the embedded model, LPIPS on others, which results on Stable
    Diffusion are given in. Never the latent distance, which an encoder protection optimised.
    """
    if model.name == "embedded":
        return Perceptual(), ""
    picture = torch.zeros(1, 3, 64, 64)
    try:
        LPIPS().score(picture, picture)
    except Unavailable as error:
        return Perceptual(), str(error)
    return LPIPS(), ""


def make_judge(bench: Bench, editor: Editor, prompts: tuple[str, ...]) -> Judge:
    """A judge with the model's thresholds for this editor, or the reason why there are none."""
    resolved = editor.resolve(bench.model)
    metric, reason = choose_metric(bench.model)
    try:
        thresholds = Calibration.of(bench.model).find(str(resolved), size=bench.model.size)
    except Unavailable as error:
        return Judge(bench, resolved, prompts, metric, reason, not_calibrated=str(error))
    return Judge(bench, resolved, prompts, metric, reason, thresholds)


def count_usable(judged: list[Judged]) -> tuple[UsableCounts | None, str]:
    """Counts over the prompts, or why there are none."""
    reasons = [one.reason for one in judged if one.reason]
    if reasons:
        return None, reasons[0]
    placebos = [one.usable[row] for one in judged for row in range(PLACEBOS.start, PLACEBOS.stop)]
    return UsableCounts(
        edits=len(judged),
        original=int(sum(one.usable[CONTROL] for one in judged)),
        protected=int(sum(one.usable[PROTECTED] for one in judged)),
        placebos=int(sum(placebos)),
        placebo_edits=len(placebos),
    ), ""

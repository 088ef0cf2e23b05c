"""Edits of a photo's rows: how far from the control's, and whether an attacker could use them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from brittle.analysis.randomization_test import FIRST, is_settled
from brittle.auditing.document import UsableCounts
from brittle.auditing.reduction import Tried
from brittle.auditing.views import CONTROL, GRAY, PLACEBOS, PROTECTED, ROWS, Bench
from brittle.editors import Editor
from brittle.errors import Unavailable
from brittle.metrics import LPIPS, Calibration, Metric, Perceptual, Thresholds
from brittle.models import EditModel
from brittle.progress import Advance
from brittle.transforms import Transform

BATCH = 2
"""Rows that go through the model at once, always: a row's bytes depend on that number."""
AT_LEAST = PLACEBOS.start + FIRST
"""Rows that are edited whatever they show: control, protected file, gray picture, first draws."""
FURTHER = 24
"""Random perturbations that all lines of a photo may take beyond their first, in all."""
SHOWN = (CONTROL, PROTECTED, PLACEBOS.start)
"""Rows whose edits a report may show."""


@dataclass(frozen=True)
class Judge:
    """Makes edits on one model and judges them."""

    bench: Bench
    editor: Editor
    prompts: tuple[str, ...]
    metric: Metric
    transforms: tuple[Transform, ...]
    """After which edits are made; those of the bench, or the first few of them."""
    thorough: bool = False
    """Whether every line takes all random perturbations."""
    metric_reason: str = ""
    calibration: Calibration | None = None
    not_calibrated: str = ""

    @property
    def rows_at_least(self) -> int:
        """How many rows of one photo are edited whatever they show, all lines together."""
        return len(self.transforms) * (ROWS if self.thorough else AT_LEAST)

    @property
    def rows_at_most(self) -> int:
        """How many rows of one photo are edited at most."""
        return min(len(self.transforms) * ROWS, self.rows_at_least + FURTHER)

    def thresholds(self, size: int) -> Thresholds:
        """What is usable of edits whose long side is ``size``.

        Raises:
            Unavailable: nobody knows.
        """
        if self.calibration is None:
            raise Unavailable(self.not_calibrated)
        return self.calibration.find(str(self.editor), size=size)


@dataclass
class Line:
    """One transform's edits of one photo: rows (ROWS, 3, h, w), edited in their order."""

    judge: Judge
    tried: Tried
    views: Tensor
    photo: Tensor
    """The photo as it was, (1, 3, H, W)."""
    seed: int
    edits: dict[str, list[Tensor]] = field(default_factory=dict)
    """By prompt, the edits of the rows done."""
    distances: list[list[float]] = field(default_factory=list)
    """By row, by prompt."""

    @property
    def distance(self) -> Tensor:
        """How far each row's edits lie from the control's, mean over prompts, (rows done,)."""
        return torch.tensor(self.distances, dtype=torch.float64).mean(1)

    @property
    def settled(self) -> bool:
        """Whether further random perturbations would hardly change the answer."""
        distance = self.distance
        return is_settled(float(distance[PROTECTED]), distance[PLACEBOS].tolist())

    def go_on(self, advance: Advance) -> int:
        """Edit the next rows with every prompt; how many they were."""
        done = len(self.distances)
        rows = self.views[done : done + BATCH]
        model, metric = self.judge.bench.model, self.judge.metric
        found = []
        for prompt in self.judge.prompts:
            prompts, seeds = [prompt] * len(rows), [self.seed] * len(rows)
            edited = self.judge.editor.edit(model, rows, prompts=prompts, seeds=seeds)
            made = self.edits.setdefault(prompt, [])
            made += edited.split(1)
            valid = self._valid(made[CONTROL])
            scores = [
                metric.score(row, made[CONTROL], valid=valid, model=model)
                for row in edited.split(1)
            ]
            found.append([float(metric.as_distance(score)) for score in scores])
        self.distances += [[*row] for row in zip(*found, strict=True)]
        advance(len(rows) * len(self.judge.prompts))
        return len(rows)

    @cached_property
    def _size(self) -> Sequence[int]:
        """(height, width) of what was transformed."""
        return self.tried.start(self.photo, self.judge.bench.model).shape[-2:]

    def _valid(self, edit: Tensor) -> Tensor:
        return self.tried.transform.geometry.valid_of(edit, size=self._size)

    def pictures(self, prompt: str) -> dict[int, Tensor]:
        """Edits to show, by row."""
        return {row: self.edits[prompt][row] for row in SHOWN}

    def usable(self) -> tuple[UsableCounts | None, str]:
        """Counts over the prompts, or why there are none."""
        try:
            each = [self._usable(prompt) for prompt in self.judge.prompts]
        except Unavailable as error:
            return None, str(error)
        placebos = [share for rows in each for share in rows[PLACEBOS]]
        return UsableCounts(
            edits=len(each),
            original=int(sum(rows[CONTROL] for rows in each)),
            protected=int(sum(rows[PROTECTED] for rows in each)),
            placebos=int(sum(placebos)),
            placebo_edits=len(placebos),
        ), ""

    def _usable(self, prompt: str) -> list[float]:
        """Whether each row's edit is usable, 0 or 1; the gray picture's is nobody's."""
        model = self.judge.bench.model
        seen = model.fit(self.photo)
        shape, size = seen.shape[-2:], self._size
        thresholds = self.judge.thresholds(max(shape))
        names = (thresholds.follow, thresholds.keep)
        follow, keep = (Metric.parse(name) for name in names)
        back = self.tried.transform.geometry.restore
        shown = back(self._valid(self.edits[prompt][CONTROL]), size=size, shape=shape)
        found = []
        for row, edit in enumerate(self.edits[prompt]):
            if row == GRAY:
                found.append(0.0)
                continue
            turned = back(edit, size=size, shape=shape)
            scores = [
                metric.judge(turned, seen, shown=shown, prompt=prompt, model=model)
                for metric in (follow, keep)
            ]
            found.append(thresholds.usable(scores[0], scores[1], prompt))
        return found


def edit_lines(judge: Judge, lines: Sequence[Line], advance: Advance) -> None:
    """Edit the rows of one photo's lines, each until its answer is settled.

    Every line takes its first rows; then one after another takes further random perturbations,
    `FURTHER` in all. A thorough judge edits all rows of all lines.
    """
    for line in lines:
        while len(line.distances) < (ROWS if judge.thorough else AT_LEAST):
            line.go_on(advance)
    left = 0 if judge.thorough else FURTHER
    for line in lines:
        while left > 0 and not line.settled:
            left -= line.go_on(advance)


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


def make_judge(
    bench: Bench,
    editor: Editor,
    prompts: tuple[str, ...],
    transforms: Iterable[Transform],
    *,
    thorough: bool,
) -> Judge:
    """A judge with the model's thresholds, or the reason why there are none."""
    metric, reason = choose_metric(bench.model)
    calibration, why_not = None, ""
    try:
        calibration = Calibration.of(bench.model)
    except Unavailable as error:
        why_not = str(error)
    resolved = editor.resolve(bench.model)
    return Judge(
        *(bench, resolved, prompts, metric, tuple(transforms)),
        thorough=thorough,
        metric_reason=reason,
        calibration=calibration,
        not_calibrated=why_not,
    )

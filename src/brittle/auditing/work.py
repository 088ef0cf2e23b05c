"""One photo of an audit, as a trial whose protected file was made elsewhere.

What the encoder sees is a trial without an editor, in the metric of latents. Random perturbations
of the file's size are its placebos, one arm a draw; edits take as many as the answer needs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice, product
from statistics import mean

from torch import Tensor

from brittle.analysis.randomization_test import is_reached, unsettled
from brittle.auditing.document import Seen, UsableCounts
from brittle.auditing.reduction import TracedTransform, trace
from brittle.auditing.setting import BATCH, FURTHER, TRANSPLANTS, Setting
from brittle.declaration.primary import Primary
from brittle.declaration.trial import Trial
from brittle.editors import Identity
from brittle.errors import Unavailable
from brittle.metrics import Latent, Metric
from brittle.noise import derive_seed
from brittle.parallel import on_all_cores
from brittle.progress import Advance
from brittle.protections import Placebo
from brittle.record.arms import (
    GRAY,
    NOISES,
    ORIGINAL,
    PLACEBO_KINDS,
    TRANSPLANT,
    Arm,
    placebo_label,
)
from brittle.record.record import Point
from brittle.record.rows import Row
from brittle.record.store import Store
from brittle.sources.pairs import PairPictures
from brittle.sources.photos import TrialPhoto
from brittle.transforms import Transform
from brittle.trial.plan import add_cell
from brittle.trial.results import rows
from brittle.trial.stages import compute, receive
from brittle.trial.tasks import ModelIdentity, Plan, subjects_of

PROTECTED = "protected"
ENCODER = Identity.name
"""The editor that edits nothing."""


@dataclass(frozen=True)
class Distances:
    """How far one way of looking found each arm from the original, under one transform."""

    tried: TracedTransform
    seen: Seen
    metric: str
    protected: float
    placebos: Mapping[str, tuple[float, ...]]
    """Of each random perturbation, by its kind, in the order of the draws."""
    gray: float
    fixed: int
    """How many random perturbations of each kind were drawn whatever they showed."""
    transplants: tuple[float, ...] = ()
    """Of the perturbation itself, moved and mirrored."""
    usable: UsableCounts | None = None
    usable_reason: str = ""

    @property
    def noise(self) -> float:
        """The level of the strongest kind of random perturbation, of its first draws."""
        return max(mean(of[: self.fixed]) for of in self.placebos.values())

    @property
    def beyond(self) -> float:
        """How much farther than noise the protected file lies."""
        return self.protected - self.noise


def tried_on(setting: Setting, pictures: PairPictures) -> list[TracedTransform]:
    """The transforms as this photo meets them: where its reduction hides one, reduced first."""
    seed = derive_seed(setting.request.seed, pictures.photos[0].digest, "transform")

    def one(transform: Transform) -> TracedTransform:
        return TracedTransform(
            transform, trace(transform, pictures.original, setting.model, seed=seed)
        )

    pixels = pictures.original[0, 0].numel()
    return on_all_cores(one, setting.request.transforms, pixels=pixels)


@dataclass
class PhotoWork:
    """What is computed of one photo on one model, into a store that may have some of it."""

    setting: Setting
    pictures: PairPictures
    tried: Sequence[TracedTransform]
    store: Store
    loading: Future[object]
    """The model's autoencoder on its way: importing the libraries takes seconds, and pictures are
    read and drawn meanwhile."""
    advance: Advance = lambda done: None
    plan: Plan = field(init=False)

    def __post_init__(self) -> None:
        self.plan = _plan(self.setting, self.pictures, self.tried)

    def latents(self) -> list[Distances]:
        """What the encoder sees after each transform, against as many draws as it takes."""
        setting = self.setting
        first = [setting.first_looks] + [setting.first_draws] * (len(self.tried) - 1)
        arms = (PROTECTED, GRAY)
        found = self._draw(ENCODER, Latent(), dict(zip(self.tried, first, strict=True)), arms)
        return [
            self._distances(one, "latents", fixed, found)
            for one, fixed in zip(self.tried, first, strict=True)
        ]

    def edits(self) -> list[Distances]:
        """What edits are, each line against as many draws as its answer needs."""
        setting = self.setting
        lines = [one for one in self.tried if one.transform in setting.request.edited]
        first = dict.fromkeys(lines, setting.first_draws)
        arms = (ORIGINAL, PROTECTED, GRAY)
        found = self._draw(str(setting.editor), setting.metric, first, arms, FURTHER)
        return [self._distances(one, "edits", setting.first_draws, found) for one in lines]

    def _draw(
        self,
        editor: str,
        metric: Metric,
        first: Mapping[TracedTransform, int],
        arms: Sequence[str],
        further: int | None = None,
    ) -> dict[tuple[str, str], float]:
        """Compute the first draws of each line, and others until each line's answer is plain.

        At most ``further`` of those others are made, where that is said.
        """
        drawn: dict[str, dict[str, int]] = {}
        for line, number in first.items():
            name = str(line.transform)
            drawn[name] = dict.fromkeys(map(str, NOISES), number)
            self._add(editor, name, arms)
            for noise in NOISES:
                self._add(editor, name, self._labels(noise)[:number])
        if self.pictures.change.everywhere:  # elsewhere, moved noise does what placed noise does
            self._add(editor, "none", self._labels(TRANSPLANT)[:TRANSPLANTS])
        found = self._compute(editor, metric)
        while more := list(islice(self._unsettled(found, drawn), further)):
            for name, kind in more:
                at = drawn[name][kind]
                drawn[name][kind] += 1
                self._add(editor, name, self._labels(kind)[at : at + 1])
            further = None if further is None else further - len(more)
            found |= self._compute(editor, metric)
        return found

    def pictures_of(self, arms: Iterable[str]) -> Iterator[tuple[str, str, dict[str, Tensor]]]:
        """Edits to show: by transform and prompt, those of each arm."""
        keys = {cell.point: cell.edit for cell in self.plan.cells}
        for transform in map(str, self.setting.request.edited):
            for prompt in self.setting.request.prompts:
                points = {arm: self._point(arm, transform, prompt) for arm in arms}
                yield (
                    transform,
                    prompt,
                    {arm: self.store.read(keys[point]) for arm, point in points.items()},
                )

    def _point(self, arm: str, transform: str, prompt: str, editor: str | None = None) -> Point:
        seed = self.setting.request.seed
        name = self.pictures.pair.name
        return Point(name, arm, transform, editor or str(self.setting.editor), prompt, seed)

    def _add(self, editor: str, transform: str, arms: Sequence[str]) -> None:
        # Where nothing is edited, no prompt does anything: one stands for all.
        prompts = self.setting.request.prompts[: 1 if editor == ENCODER else None]
        known = {cell.point for cell in self.plan.cells}
        for prompt, arm in product(prompts, arms):
            point = self._point(arm, transform, prompt, editor)
            if point not in known:
                add_cell(self.plan, point)

    def _compute(self, editor: str, metric: Metric) -> dict[tuple[str, str], float]:
        """Compute what is planned; by transform and arm, the distance, mean over prompts."""

        @contextmanager
        def inside(stage: str, total: float) -> Iterator[Advance]:
            yield self.advance

        model = self.setting.model
        receive(self.plan, self.store, model, inside)
        self.loading.result()
        compute(self.plan, self.store, model, inside)
        found: dict[tuple[str, str], list[float]] = {}
        wanted = (f"{metric}.distance", "control", editor)
        for row in rows(self.plan, self.store):
            if (row.metric, row.reference, row.editor) == wanted and row.value is not None:
                found.setdefault((row.transform, row.arm), []).append(row.value)
        return {point: mean(values) for point, values in found.items()}

    def _labels(self, kind: str) -> list[str]:
        return _labels(kind, self.setting)

    def _of(
        self, kind: str, transform: str, found: Mapping[tuple[str, str], float]
    ) -> tuple[float, ...]:
        """The distances of a kind's draws that were made, in their order."""
        arms = self._labels(kind)
        return tuple(found[transform, one] for one in arms if (transform, one) in found)

    def _unsettled(
        self, found: Mapping[tuple[str, str], float], lines: Iterable[str]
    ) -> Iterator[tuple[str, str]]:
        """Lines and kinds of which a further draw may change the answer, each `BATCH` times.

        None where noise lies as far without a transform: then no other line counts.
        """
        drawn = {
            name: {str(kind): self._of(kind, name, found) for kind in NOISES} for name in lines
        }
        if is_reached(found["none", PROTECTED], drawn["none"]):
            return
        for name, draws in drawn.items():
            for kind in unsettled(found[name, PROTECTED], draws):
                yield from [(name, kind)] * BATCH

    def _distances(
        self, tried: TracedTransform, seen: Seen, fixed: int, found: Mapping[tuple[str, str], float]
    ) -> Distances:
        name = str(tried.transform)
        edits = seen == "edits"
        counts, reason = self._usable(name) if edits else (None, "")
        return Distances(
            tried,
            seen,
            str(self.setting.metric) if edits else Latent.name,
            found[name, PROTECTED],
            {kind: self._of(kind, name, found) for kind in NOISES},
            found[name, GRAY],
            fixed,
            self._of(TRANSPLANT, name, found),
            counts,
            reason,
        )

    def _usable(self, transform: str) -> tuple[UsableCounts | None, str]:
        """Counts over the prompts, or why there are none."""
        if self.plan.not_calibrated:
            return None, self.plan.not_calibrated
        judged = [
            row
            for row in rows(self.plan, self.store)
            if row.metric == "usable" and row.transform == transform
        ]
        if reason := next((row.reason for row in judged if row.value is None), ""):
            return None, reason

        placebos = [label for kind in NOISES for label in self._labels(kind)]

        def of(*arms: str) -> list[Row]:
            return [row for row in judged if row.arm in arms]

        def usable(*arms: str) -> int:
            return int(sum(row.value or 0 for row in of(*arms)))

        return UsableCounts(
            edits=len(of(PROTECTED)),
            original=usable(ORIGINAL),
            protected=usable(PROTECTED),
            placebos=usable(*placebos),
            placebo_edits=len(of(*placebos)),
        ), ""


def _labels(kind: str, setting: Setting) -> list[str]:
    """The labels of all draws of a kind that there may be."""
    return [placebo_label(kind, PROTECTED, draw) for draw in range(setting.most_draws)]


def _plan(setting: Setting, pictures: PairPictures, tried: Sequence[TracedTransform]) -> Plan:
    """The trial's components; the work joins as it is needed."""
    model, request, name = setting.model, setting.request, pictures.pair.name
    original, protected = map(TrialPhoto, pictures.photos)
    draws = [label for kind in PLACEBO_KINDS for label in _labels(kind, setting)]
    arms = {label: Arm.named(label) for label in (ORIGINAL, GRAY, PROTECTED, *draws)}
    editors = {
        ENCODER: Identity(),
        **({str(setting.editor): setting.editor} if setting.editor else {}),
    }
    size = max(model.fit(original.image).shape[-2:])
    judges, not_calibrated = [], ""
    try:
        thresholds = setting.thresholds(size)
        judges = [Metric.parse(one) for one in (thresholds.follow, thresholds.keep)]
    except Unavailable as error:
        not_calibrated = str(error)
    of_edits = {str(metric): metric for metric in (setting.metric, *judges)}
    trial = Trial(
        title=f"Audit of {name}",
        photos=name,
        model=model.name,
        size=model.size,
        protections=(PROTECTED,),
        placebos=(),
        transforms=tuple(map(str, request.transforms)),
        editors=tuple(editors),
        prompts=request.prompts,
        seeds=(request.seed,),
        floor_seeds=(),
    )
    photos = {name: original}
    return Plan(
        trial,
        photos,
        subjects_of(photos, learns=False),
        ModelIdentity.of(model),
        arms=arms,
        protections={},
        placebos={label: Placebo.parse(str(arms[label].noise)) for label in draws},
        transforms={str(one): one for one in request.transforms},
        editors=editors,
        metrics={Latent.name: Latent(), **of_edits},
        primary=Primary(metric=str(setting.metric)),
        calibration=setting.calibration,
        not_calibrated=not_calibrated,
        batch=BATCH,
        given={(name, PROTECTED): protected},
        reduced=frozenset((name, str(one.transform)) for one in tried if one.reduced_first),
        unscored={
            ENCODER: frozenset(of_edits) - {Latent.name},
            str(setting.editor): frozenset({Latent.name}),
        },
        adaptive=False,
    )

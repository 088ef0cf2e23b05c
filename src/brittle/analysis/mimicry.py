"""From the scores of a trial over collections to its summary: is mimicry any worse for the cloak?

A painting is compared with its twins, which share prompt, seed and seed of the fine-tune: that of
the unprotected pictures, and that of the placebo, both after the same transform. Definitions:
docs/style-mimicry.md.
"""

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np

from brittle.analysis.intervals import Array
from brittle.analysis.mimicry_summary import (
    BestTransform,
    Collection,
    Ends,
    Mimicked,
    MimicrySummary,
)
from brittle.analysis.paintings import Paintings, best_of, closer_share
from brittle.analysis.phrases import count, transform_name
from brittle.analysis.sampling_units import Units
from brittle.analysis.summary import Flag, Interval, Scope
from brittle.errors import UserError
from brittle.record.arms import BASE_MODEL, placebo_label
from brittle.record.rows import Row

NOTHING_LEARNED = "unprotected pictures taught the model too little for a scale"
TOO_WEAK = "too weak for a share"


def summarise_mimicry(
    rows: Iterable[Row],
    *,
    scope: Scope,
    metric: str,
    placebos: Sequence[str],
    protections: Sequence[str],
    transforms: Sequence[str] = (),
    pictures: dict[str, int] | None = None,
    flags: Sequence[Flag] = (),
) -> MimicrySummary:
    """Draw all conclusions from the scores of a trial over collections.

    ``metric`` decides the headline; of ``placebos``, kinds of noise, the first is compared with;
    ``transforms`` gives their order and ``pictures`` each collection's size, where known.

    Raises:
        UserError: as `Paintings`; the metric has no distances.
    """
    found = Paintings(rows)
    if metric not in found.metrics:
        reason = found.missing.get(f"{metric}.distance", "it was not scored")
        raise UserError(f"The primary metric {metric} has no distances: {reason}.")
    order = [label for label in transforms if label in found.transforms] or found.transforms
    analysis = _Analysis(found, placebos[0] if placebos else None)
    results = [
        analysis.compare(arm, transform, one)
        for one in [metric, *(other for other in found.metrics if other != metric)]
        for arm in protections
        for transform in order
    ]
    ends = [analysis.ends(one, transform) for one in found.metrics for transform in order]
    return MimicrySummary(
        scope=scope,
        metric=metric,
        collections=tuple(
            Collection(name=name, pictures=(pictures or {}).get(name, 0)) for name in found.axes[0]
        ),
        tunings=len(found.axes[1]),
        prompts=tuple(found.axes[2]),
        seeds=tuple(found.axes[3]),
        unit=analysis.over.unit,
        unit_words=analysis.over.words(),
        headline=_headline(scope, [one for one in results if one.metric == metric]),
        placebo=analysis.kind,
        results=tuple(results),
        ends=tuple(ends),
        best_transforms=tuple(
            analysis.best_transform(arm, one) for one in found.metrics for arm in protections
        ),
        flags=(*_learning_flags(ends, metric), *flags),
        missing=found.missing,
    )


class _Analysis:
    def __init__(self, found: Paintings, kind: str | None) -> None:
        self.found, self.kind = found, kind
        collections, tunings, *_ = map(len, found.axes)
        self.over = Units(collections, tunings)

    def compare(self, arm: str, transform: str, metric: str) -> Mimicked:
        """One protection after one transform, in one metric."""
        of = partial(self.found, metric=metric)
        protected, clean = of(arm, transform), of("original", transform)
        placebo = of(placebo_label(self.kind, arm), transform) if self.kind else None
        won = closer_share(protected, clean)
        others = None if placebo is None else closer_share(placebo, clean)
        reach, retention, reason = None, None, "there is no placebo"
        if placebo is not None:
            room = of(BASE_MODEL, transform) - clean
            if self.over.clear(room, quantiles=1):
                reach = self.over.ratio(protected - placebo, room)
            retention, reason = self._retention(arm, transform, metric)
        return Mimicked(
            arm=arm,
            transform=transform,
            metric=metric,
            distance=float(protected.mean()),
            clean=float(clean.mean()),
            placebo=None if placebo is None else float(placebo.mean()),
            preferred=float(won.sum()),
            pairs=won.size,
            preference=self.over.share(won),
            preferred_placebo=None if others is None else float(others.sum()),
            preference_placebo=None if others is None else self.over.share(others),
            best_of=_best_of(protected, clean),
            best_of_placebo=None if placebo is None else _best_of(placebo, clean),
            best_of_clean=_best_of(clean, clean),
            effect=None if placebo is None else self.over.mean(protected - placebo),
            reach=reach,
            reach_reason="" if reach or placebo is None else NOTHING_LEARNED,
            retention=retention,
            retention_reason=reason,
            per_unit=[] if placebo is None else self.over.of(protected - placebo).tolist(),
        )

    def _retention(self, arm: str, transform: str, metric: str) -> tuple[Interval | None, str]:
        """The share of the untransformed effect that is left; gated as for photos."""
        if transform == "none":
            return None, "the effect without a transform is what the others are compared with"
        placebo = placebo_label(self.kind or "", arm)
        after, before = (
            self.found(arm, one, metric) - self.found(placebo, one, metric)
            for one in (transform, "none")
        )
        if not self.over.clear(before, quantiles=2):
            return None, TOO_WEAK
        retention = self.over.ratio(after, before)
        return (None, TOO_WEAK) if retention.note == "no bound" else (retention, "")

    def ends(self, metric: str, transform: str) -> Ends:
        """The scale of a metric, and what unprotected pictures taught after a transform."""
        base = self.found(BASE_MODEL, transform, metric)
        clean = self.found("original", transform, metric)
        between = [self.found.between[name, metric] for name in self.found.axes[0]]
        return Ends(
            metric=metric,
            transform=transform,
            originals=float(np.mean(between)),
            base_model=float(base.mean()),
            clean=float(clean.mean()),
            learned=self.over.mean(base - clean),
            learned_clearly=self.over.clear(base - clean, quantiles=1),
        )

    def best_transform(self, arm: str, metric: str) -> BestTransform:
        """An attacker who tries every transform and keeps the closest picture of each seed."""
        clean = self.found("original", "none", metric)
        placebo = placebo_label(self.kind, arm) if self.kind else None
        shares = {
            label: float(closer_share(self._closest(label, metric), clean).mean())
            for label in (arm, placebo, "original")
            if label
        }
        return BestTransform(
            arm=arm,
            metric=metric,
            transforms=len(self.found.transforms),
            share=shares[arm],
            placebo=shares.get(placebo or ""),
            clean=shares["original"],
        )

    def _closest(self, arm: str, metric: str) -> Array:
        tried = [self.found(arm, one, metric) for one in self.found.transforms]
        return np.minimum.reduce(tried)


def _best_of(tried: Array, clean: Array) -> tuple[float, ...]:
    shares = best_of(tried, clean)
    return tuple(shares.reshape(len(shares), -1).mean(1).tolist())


def _learning_flags(ends: Iterable[Ends], metric: str) -> list[Flag]:
    """Where a fine-tune on unprotected pictures hardly helped, nothing can be protected."""
    return [
        Flag(
            name="nothing learned",
            meaning=(
                "the fine-tune on unprotected pictures paints not clearly closer to the originals "
                "than the model does without learning"
            ),
            todo="look for a better rate and number of steps: so far there is nothing to protect",
            where=f"{end.metric}, {transform_name(end.transform)}",
            transform=end.transform,
            stops_verdict=True,
        )
        for end in ends
        if end.metric == metric and not end.learned_clearly
    ]


def _headline(scope: Scope, results: Sequence[Mimicked]) -> str:
    """The first protection's preferences, in counts."""
    if not results:
        return f"{scope.statement}: the trial has no protection."
    first = [one for one in results if one.arm == results[0].arm]
    pairs = first[0].pairs
    return (
        f"{scope.statement}: of {count(pairs, 'pair')} of pictures, what the model painted after "
        f"learning from those protected by {first[0].arm.partition(':')[0]} was at least as close "
        f"to the originals as after learning from the unprotected in "
        f"{'; in '.join(map(_counted, first))}. {pairs / 2:g} would be as good as unprotected."
    )


def _counted(one: Mimicked) -> str:
    after = "untransformed" if one.transform == "none" else f"after {transform_name(one.transform)}"
    if one.preferred_placebo is None:
        return f"{one.preferred:g} {after}"
    return f"{one.preferred:g} {after} ({one.preferred_placebo:g} with noise of its size)"

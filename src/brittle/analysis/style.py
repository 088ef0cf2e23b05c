"""What only a trial over collections finds: how near to the originals models come that learned.

A generated picture is compared with its twin, which shares prompt, seed and seed of the fine-tune,
after the same transform. Definitions: docs/style-mimicry.md.
"""

from collections.abc import Callable, Sequence
from math import comb
from typing import Literal

import numpy as np

from brittle.analysis.effects import EXPLORATORY_ALPHA, NOTHING_LEARNED, Effects
from brittle.analysis.intervals import Array, known_mean, mean_interval, share_interval
from brittle.analysis.phrases import count, transform_name
from brittle.analysis.sampling_units import COLLECTION, FINE_TUNE, SamplingUnits
from brittle.analysis.summary import (
    BestTransform,
    Ends,
    Headline,
    Interval,
    Preference,
    Style,
)
from brittle.analysis.table import Block, shared_points, unit_means
from brittle.record.arms import ORIGINAL


def style_section(
    effects: Sequence[Effects], arms: Sequence[str], transforms: Sequence[str]
) -> Style:
    """All of it, from the effects in every metric, the primary one first."""
    found = [Twins(one) for one in effects]
    table = effects[0].table
    sampling, points = table.sampling, table.points
    return Style(
        collections=tuple(sampling.collections),
        fine_tunes=len(sampling.fine_tunes),
        prompts=tuple(sorted({prompt for _, prompt, _ in points})),
        seeds=tuple(sorted({seed for *_, seed in points})),
        unit=_intervals_over(sampling),
        unit_words=unit_words(sampling),
        preferences=tuple(
            one.preference(arm, transform)
            for one in found
            for arm in arms
            for transform in transforms
        ),
        ends=tuple(one.ends(transform) for one in found for transform in transforms),
        best_transforms=tuple(one.best_transform(arm, transforms) for one in found for arm in arms),
    )


def _intervals_over(sampling: SamplingUnits) -> Literal["collections", "fine-tunes", "none"]:
    if sampling.unit is COLLECTION:
        return "collections"
    return "fine-tunes" if len(sampling.fine_tunes) >= FINE_TUNE.enough else "none"


def unit_words(sampling: SamplingUnits) -> str:
    """What there is of collections and fine-tunes, and what that lets one say."""
    there = (
        f"{count(len(sampling.collections), 'collection')}, "
        f"{count(len(sampling.fine_tunes), 'fine-tune')} of each"
    )
    said = {
        "collections": "intervals are over the collections",
        "fine-tunes": (
            "intervals are over the fine-tunes' seeds, for these pictures: they say nothing about "
            "other artists or subjects"
        ),
        "none": "too few of either for intervals",
    }
    return f"{there}; {said[_intervals_over(sampling)]}"


class Twins:
    """Pictures beside their twins, in one metric."""

    def __init__(self, effects: Effects) -> None:
        self.effects, self.table, self.metric = effects, effects.table, effects.metric

    def preference(self, arm: str, transform: str) -> Preference:
        """One protection and its placebo after one transform."""
        of = self.effects.block
        clean, placebo = of(ORIGINAL, transform), self.effects.noise(arm, transform)
        pairs, preferred, share = self._closer(of(arm, transform), clean)
        _, preferred_placebo, share_placebo = self._closer(placebo, clean)
        return Preference(
            arm=arm,
            transform=transform,
            metric=self.metric,
            pairs=pairs,
            preferred=preferred,
            preference=share,
            preferred_placebo=None if share_placebo is None else preferred_placebo,
            preference_placebo=share_placebo,
            best_of=self._best_of(of(arm, transform), clean),
            best_of_placebo=self._best_of(placebo, clean) or None,
            best_of_clean=self._best_of(clean, clean),
        )

    def _closer(self, tried: Block, clean: Block) -> tuple[int, float, Interval | None]:
        """Pairs, those that are at least as close, and their share."""
        valid, _ = shared_points([tried, clean])
        won = closer(tried.values, clean.values)
        pairs = int(valid.sum())
        shares = unit_means(won, valid)
        share = share_interval(shares, pairs, EXPLORATORY_ALPHA, self.effects.unit)
        return pairs, float(won[valid].sum()), share

    def _best_of(self, tried: Block, clean: Block) -> tuple[float, ...]:
        """`best_of` over all prompts with a number for each seed; empty where there is none."""
        grids = [self._by_seed(block) for block in (tried, clean)]
        whole = np.isfinite(grids).all((0, 2))
        if not whole.any():
            return ()
        shares = best_of(grids[0][whole], grids[1][whole])
        return tuple(shares.mean(1).tolist())

    def _by_seed(self, block: Block) -> Array:
        """A block's scores by (all that differs but the seed, seeds); NaN where there is none."""
        seeds = sorted({seed for *_, seed in self.table.points})
        groups = sorted({point[:2] for point in self.table.points})
        found = np.full((len(block.values), len(groups), len(seeds)), np.nan)
        for at, (*group, seed) in enumerate(self.table.points):
            found[:, groups.index((group[0], group[1])), seeds.index(seed)] = block.values[:, at]
        return found.reshape(-1, len(seeds))

    def ends(self, transform: str) -> Ends:
        """The scale, and what unprotected pictures taught after a transform."""
        blocks = [self.effects.block(arm, transform) for arm in (self.table.ceiling, ORIGINAL)]
        valid, _ = shared_points(blocks)
        base, clean = (unit_means(block.values, valid) for block in blocks)
        between = self.table.block(
            ORIGINAL,
            "none",
            editor=self.effects.editor,
            metric=f"{self.metric}.distance",
            reference="between",
        )
        clearly = self.effects.above_zero(base - clean)
        return Ends(
            metric=self.metric,
            transform=transform,
            originals=known_mean(between.values),
            base_model=known_mean(base),
            clean=known_mean(clean),
            learned=mean_interval(base - clean, EXPLORATORY_ALPHA, self.effects.unit),
            learned_clearly=clearly,
            reason="" if clearly else NOTHING_LEARNED,
        )

    def best_transform(self, arm: str, transforms: Sequence[str]) -> BestTransform:
        """An attacker who tries every transform and keeps the closest picture of each seed."""
        clean = self.effects.block(ORIGINAL, "none").values

        def share(tried: Callable[[str, str], Block], of: str = arm) -> float | None:
            closest = np.minimum.reduce([tried(of, one).values for one in transforms])
            there = np.isfinite(closest + clean)
            return known_mean(closer(closest, clean)[there])

        return BestTransform(
            arm=arm,
            metric=self.metric,
            transforms=len(transforms),
            share=share(self.effects.block),
            placebo=share(self.effects.noise),
            clean=share(self.effects.block, ORIGINAL),
        )


def closer(tried: Array, clean: Array) -> Array:
    """1 where a picture is closer than its twin, 1/2 where it is as close, else 0."""
    return (tried < clean) + 0.5 * (tried == clean)


def best_of(tried: Array, clean: Array) -> Array:
    """How often the best of K tries is as close as the middle one of the clean, K = 1..seeds.

    Both are (…, seeds); the result (seeds, …) is exact over all choices of K tries: one minus the
    chance that all of them lie farther. Ties count half, as in `closer`.
    """
    seeds = tried.shape[-1]
    middle = np.median(clean, axis=-1, keepdims=True)
    farther, not_closer = ((tried > middle).sum(-1), (tried >= middle).sum(-1))
    chance = np.array([[comb(n, k) / comb(seeds, k) for n in range(seeds + 1)]
                       for k in range(1, seeds + 1)])  # fmt: skip
    return 1 - (chance[:, farther] + chance[:, not_closer]) / 2


def style_headline(style: Style, metric: str, scope: str) -> Headline:
    """The first protection's preferences, in counts."""
    found = [one for one in style.preferences if one.metric == metric]
    first = [one for one in found if one.arm == found[0].arm]
    if not first:
        return Headline(sentence=f"{scope}: no protection was tried.", arm="")
    arm, pairs = first[0].arm, first[0].pairs
    sentence = (
        f"{scope}: of {count(pairs, 'pair')} of generated pictures, the one after learning from "
        f"pictures protected by {arm.partition(':')[0]} was at least as close to the originals as "
        "the one after learning from unprotected pictures in "
        f"{'; in '.join(map(_counted, first))}. "
        f"{pairs / 2:g} would be as good as unprotected."
    )
    return Headline(sentence=sentence, arm=arm)


def _counted(one: Preference) -> str:
    after = "untransformed" if one.transform == "none" else f"after {transform_name(one.transform)}"
    if one.preferred_placebo is None:
        return f"{one.preferred:g} {after}"
    return f"{one.preferred:g} {after} ({one.preferred_placebo:g} with noise of its size)"

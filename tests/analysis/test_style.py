"""Trials over collections: effects, preference, best of K and their intervals."""

import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from brittle.analysis import summarise
from brittle.analysis.style import best_of, closer
from brittle.analysis.summary import Scope
from brittle.declaration.primary import Primary
from brittle.errors import UserError
from brittle.record.rows import Row

ARM, PLACEBO = "cloak", "noise(cloak)"
TRANSFORMS = ("none", "jpeg:quality=65")
SCOPE = Scope(model="embedded", resolution=128, statement="On embedded")


def rows(distance, *, collections=1, tunings=3, prompts=2, seeds=3, transforms=TRANSFORMS):
    """The rows of a trial, from a function of (arm, transform) and the place in the grid."""
    found = []
    for c, transform, t, p, s in product(
        range(collections), transforms, range(tunings), range(prompts), range(seeds)
    ):
        for arm in ("original", "base model", ARM, PLACEBO):
            point = (f"artist {c}", arm, transform, f"finetune:tuning_seed={t}", f"sks {p}", s)
            value = distance(arm, transform, (c, t, p, s))
            found.append(Row(*point, "style.distance", "originals", value))
            if arm == "original" and transform == "none":
                found.append(Row(*point, "style.distance", "between", 1.0))
    return found


def summary_of(found, *, metric="style", **options):
    primary = Primary(metric=metric, transforms=TRANSFORMS[1:])
    return summarise(found, primary, scope=SCOPE, **options)


def by_hand(arm, transform, at):
    """Without a transform the cloak is 1 of 2 worse than clean; after JPEG a quarter of it."""
    clean = 2.0 + 0.1 * at[3] + 0.01 * at[1]
    left = 1 if transform == "none" else 0.25
    return clean + {"original": 0, "base model": 2, ARM: left, PLACEBO: 0}[arm]


def test_a_share_counts_ties_as_half():
    assert closer(np.array([1.0, 2, 3]), np.array([2.0, 2, 2])).tolist() == [1, 0.5, 0]


def test_best_of_k_is_the_mean_over_all_choices_of_tries():
    tried, clean = np.array([[1.0, 5.0, 9.0]]), np.array([[2.0, 4.0, 6.0]])
    # Of one try a third lies below 4; of two, two of the three pairs hold the 1; of three, all.
    assert best_of(tried, clean)[:, 0] == pytest.approx([1 / 3, 2 / 3, 1])


@pytest.mark.parametrize("seeds", [2, 3, 4])
def test_best_of_one_clean_picture_is_a_half(seeds):
    clean = np.random.default_rng(0).random((200, seeds))
    found = best_of(clean, clean).mean(1)
    assert found[0] == pytest.approx(0.5)
    assert found[-1] == 1
    assert (np.diff(found) >= 0).all()


def test_numbers_that_were_made_by_hand():
    summary = summary_of(rows(by_hand))
    style, (before, after) = summary.style, summary.effects
    assert (before.transform, after.transform) == TRANSFORMS
    twins = style.preference(ARM, "none", "style")
    assert (twins.preferred, twins.preferred_placebo, twins.pairs) == (0, 9, 18)
    assert before.effect.estimate == pytest.approx(1)
    assert before.reach.estimate == pytest.approx(0.5)
    assert after.reach.estimate == pytest.approx(0.125)
    assert after.retention.estimate == pytest.approx(0.25)
    end = style.end("none", "style")
    assert (end.clean, before.distance) == pytest.approx((2.11, 3.11))
    assert (end.originals, end.base_model - end.clean) == pytest.approx((1, 2))
    assert (style.unit, style.fine_tunes, summary.n_photos) == ("fine-tunes", 3, 3)
    assert before.effect.n == 3
    assert before.per_photo == pytest.approx(dict.fromkeys(summary.photos, 1))
    assert "nothing about other artists" in style.unit_words
    assert "of 18 pairs" in summary.headline.sentence
    assert "in 0 untransformed (9 with noise of its size)" in summary.headline.sentence
    assert summary.flags == summary.verdicts == summary.usable == summary.half_lives == ()
    best = style.best_transforms[0]
    assert (best.share, best.placebo, best.clean) == (0, 0.5, 0.5)


@pytest.mark.parametrize(
    ("collections", "tunings", "unit", "n"),
    [(8, 1, "collections", 8), (7, 3, "fine-tunes", 3), (7, 2, "none", 2)],
)
def test_intervals_are_over_what_there_is_enough_of(collections, tunings, unit, n):
    rng = np.random.default_rng(1)

    def noisy(arm, transform, at):
        return by_hand(arm, transform, at) + 0.01 * rng.random()

    summary = summary_of(rows(noisy, collections=collections, tunings=tunings))
    effect = summary.effects[0].effect
    assert (summary.style.unit, effect.n) == (unit, n)
    assert (effect.low is None) == (unit == "none") == summary.illustration
    assert (summary.style.preferences[0].preference.low is None) == (unit == "none")


def test_where_nothing_was_learned_nothing_is_scaled():
    summary = summary_of(rows(lambda *_: 2.0))
    assert [flag.name for flag in summary.flags] == ["nothing learned", "nothing learned"]
    assert summary.flags[0].stops_verdict
    assert summary.effects[0].reach is None
    assert summary.style.ends[0].reason
    assert summary.effects[1].retention is None
    assert summary.style.preferences[0].preference.estimate == 0.5


def simulate(rng, effect, *, collections, tunings):
    """A collection's, a fine-tune's, a prompt's and a seed's share of a distance."""
    levels = {"original": 0, PLACEBO: 0, ARM: effect, "base model": 3}
    artists = rng.normal(0, 0.3, collections)
    taught = {arm: rng.normal(0, 0.05, (collections, tunings)) for arm in levels}

    def distance(arm, transform, at):
        c, t, *_ = at
        return 4 + artists[c] + levels[arm] + taught[arm][c, t] + rng.normal(0, 0.1)

    return rows(distance, collections=collections, tunings=tunings, transforms=("none",))


@pytest.mark.parametrize(("collections", "tunings"), [(8, 1), (1, 4)])
def test_a_cloak_that_does_nothing_is_preferred_in_half_and_intervals_cover(collections, tunings):
    rng, covered, shares, runs = np.random.default_rng(2), [], [], 120
    for _ in range(runs):
        found = summary_of(simulate(rng, 0.0, collections=collections, tunings=tunings))
        effect = found.effects[0].effect
        shares.append(found.style.preferences[0].preference.estimate)
        covered.append(effect.low <= 0 <= effect.high)
    assert np.mean(shares) == pytest.approx(0.5, abs=0.04)
    assert np.mean(covered) > 0.89


def test_a_cloak_that_works_is_seen():
    found = summary_of(simulate(np.random.default_rng(3), 0.6, collections=8, tunings=1))
    assert found.effects[0].effect.low > 0
    assert found.style.preferences[0].preference.high < 0.5
    assert found.effects[0].reach.estimate == pytest.approx(0.2, abs=0.05)


def test_without_a_placebo_there_is_a_preference_and_no_effect():
    summary = summary_of([row for row in rows(by_hand) if row.arm != PLACEBO])
    twins = summary.style.preferences[0]
    assert (twins.preferred, twins.preferred_placebo) == (0, None)
    assert (summary.effects[0].effect, summary.effects[1].retention) == (None, None)
    assert summary.effects[0].distance == pytest.approx(3.11)


def test_a_metric_without_numbers_is_named_with_its_reason():
    extra = Row("artist 0", ARM, "none", "finetune", "sks 0", 0, "follow.distance", "originals",
                None, "follow has no distance form")  # fmt: skip
    summary = summary_of([*rows(by_hand), extra])
    assert summary.missing.reasons == {"follow has no distance form": 1}
    assert {effect.metric for effect in summary.effects} == {"style"}
    with pytest.raises(UserError, match="no distance form"):
        summary_of([*rows(by_hand), extra], metric="follow")


def test_a_gap_in_the_grid_leaves_its_points_out_everywhere():
    gone = [
        replace(row, value=None, reason="killed")
        if (row.arm, row.transform, row.seed) == (ARM, "none", 0) and row.prompt == "sks 0"
        else row
        for row in rows(by_hand)
    ]
    summary = summary_of(gone)
    before, after = summary.effects
    twins = summary.style.preference(ARM, "none", "style")
    assert (before.rows, before.dropped, twins.pairs) == (15, 3, 15)
    # The distance grows with the seed, so that a mean over other points would be another.
    assert before.effect.estimate == pytest.approx(1)
    assert after.retention.estimate == pytest.approx(0.25)
    assert len(twins.best_of) == 3
    assert summary.missing.missing == 3


def test_of_several_placebos_the_one_that_paints_farther_is_compared_with():
    spectrum = f"noise-spectrum({ARM})"
    more = [replace(row, arm=spectrum, value=row.value + 0.5)
            for row in rows(by_hand) if row.arm == PLACEBO]  # fmt: skip
    alone = [replace(row, arm=PLACEBO) for row in more]
    others = [row for row in rows(by_hand) if row.arm != PLACEBO]
    summary, expected = summary_of([*rows(by_hand), *more]), summary_of([*others, *alone])
    assert summary.placebo.chosen == "noise-spectrum"
    assert summary.effects == expected.effects
    assert summary.style.preferences == expected.style.preferences
    assert summary.style.best_transforms == expected.style.best_transforms


def test_the_headline_tells_transforms_in_the_order_in_which_they_were_declared():
    found = rows(by_hand, transforms=("none", "flip", *TRANSFORMS[1:]))
    assert re.findall("untransformed|JPEG 65|flip", summary_of(found).headline.sentence) == [
        *("untransformed", "JPEG 65", "flip")
    ]

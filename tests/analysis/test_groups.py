"""Photos that belong together count as one: in intervals, in n, and for a verdict."""

import dataclasses

import numpy as np
import pytest

from brittle.analysis.intervals import mean_bounds
from brittle.analysis.phrases import COVERS_GROUPS
from brittle.analysis.sampling_units import PHOTO, groups_of
from tests.analysis.trials import ARM, JPEG, PLACEBO, build, summary_of, trial

LEVELS = ("none", JPEG)
SHARES = {(arm, t): 0.9 for arm in ("original", PLACEBO) for t in ("none", JPEG)} | {
    (ARM, "none"): 0.1,
    (ARM, JPEG): 0.6,
}


def in_groups(rows, size):
    """Rows, and the group of each photo: ``size`` neighbours each."""
    photos = sorted({row.image for row in rows})
    return rows, {photo: f"shoot {at // size}" for at, photo in enumerate(photos)}


def copied(rows, times):
    """Every photo several times, under several names."""
    return [
        dataclasses.replace(row, image=f"{row.image} {copy}")
        for row in rows
        for copy in range(times)
    ]


def scattered(photo, point):
    return 0.3 + 0.02 * (photo * 7 % 5) + 0.05 * (photo // 3 % 4)


def test_copies_of_a_photo_in_one_group_change_nothing():
    rows = build(trial(0.6, scattered), photos=12, points=2, usable=SHARES)
    rows += build({(f"noise-spectrum({ARM})", t): 0.1 for t in ("none", JPEG)}, photos=12)
    alone = summary_of(rows)
    more, groups = in_groups(copied(rows, 3), 3)
    grouped = summary_of(more, groups=groups)
    assert (grouped.n_photos, grouped.n_groups, alone.n_groups) == (36, 12, 0)
    for one, other in zip(alone.effects, grouped.effects, strict=True):
        for field in ("effect", "reach", "retention"):
            found, expected = getattr(other, field), getattr(one, field)
            assert (found is None) == (expected is None)
            if found is not None:
                assert (found.estimate, found.low, found.high, found.n) == pytest.approx(
                    (expected.estimate, expected.low, expected.high, expected.n)
                )
    single, several = (summary.verdict(ARM, JPEG) for summary in (alone, grouped))
    assert [claim.holds for claim in several.claims] == [claim.holds for claim in single.claims]
    assert (several.word, several.attacker) == (single.word, single.attacker)
    # As photos of their own they would narrow every interval.
    wrong = summary_of(more).effect(ARM, JPEG).effect
    right = grouped.effect(ARM, JPEG).effect
    assert wrong.high - wrong.low < 0.7 * (right.high - right.low)


def test_unequal_numbers_of_copies_change_no_number():
    """A group is what its photos are on average, however many they are: in every number."""
    usable = {cell: lambda photo, point: float((photo + point) % 4 > 0) for cell in SHARES}
    mine = {(ARM, t): lambda photo, point: float((photo + 2 * point) % 3 > 1) for t in LEVELS}
    rows = build(trial(0.6, scattered), photos=12, points=4, usable=usable | mine)
    more, groups = [], {}
    for row in rows:
        for copy in range(1 + int(row.image[1:]) % 3):
            more.append(dataclasses.replace(row, image=f"{row.image} {copy}"))
            groups[more[-1].image] = row.image
    alone, grouped = summary_of(rows), summary_of(more, groups=groups)
    for one, other in zip(alone.effects, grouped.effects, strict=True):
        for field in ("distance", "placebo", "ceiling"):
            assert getattr(other, field) == pytest.approx(getattr(one, field))
    for one, other in zip(alone.worst_cases, grouped.worst_cases, strict=True):
        for field in ("effect", "reach", "usable"):
            expected, found = (getattr(case, field) for case in (one, other))
            assert (found is None) == (expected is None)
            if found is not None:
                assert found.estimate == pytest.approx(expected.estimate)
        assert other.effect_chosen.keys() == one.effect_chosen.keys()
    one, other = (summary.verdict(ARM, JPEG).best_of for summary in (alone, grouped))
    assert other.model_dump() == pytest.approx(one.model_dump())
    assert (
        grouped.headline.sentence.partition("usable: ")[2].partition(";")[0]
        == (alone.headline.sentence.partition("usable: ")[2].partition(";")[0])
    )


def test_an_interval_is_over_the_means_of_groups():
    rows, groups = in_groups(build(trial(0.6, scattered), photos=24, noise=0), 3)
    effect = summary_of(rows, groups=groups).effect(ARM, JPEG)
    means = np.array(list(effect.per_photo.values())).reshape(8, 3).mean(1)
    assert effect.n == effect.effect.n == 8
    found = (effect.effect.estimate, effect.effect.low, effect.effect.high)
    assert found == pytest.approx(mean_bounds(means, 0.025))
    assert "8 groups" in effect.summary


def test_a_verdict_takes_eight_groups():
    rows, groups = in_groups(build(trial(0.6, 0.1), photos=12, usable=SHARES), 3)
    summary = summary_of(rows, groups=groups)
    found = summary.verdict(ARM, JPEG)
    assert (found.word, summary_of(rows).verdict(ARM, JPEG).word) == ("no verdict", "broken")
    assert found.why == "it has 4 groups, and a verdict takes 8"
    assert summary.illustration_words == "an illustration on 4 groups"
    assert summary.effect(ARM, JPEG).effect.note == "4 groups: no interval"
    assert summary.effect(ARM, "none").summary.startswith("all 12 of 12 photos moved further")
    enough, groups = in_groups(build(trial(0.6, 0.1), photos=24, usable=SHARES), 3)
    summary = summary_of(enough, groups=groups)
    assert summary.verdict(ARM, JPEG).word == "broken"
    assert COVERS_GROUPS in summary.verdict(ARM, JPEG).sentence


def test_photos_without_a_group_are_groups_of_their_own():
    assert groups_of(["a", "b"], {}) is PHOTO
    assert groups_of(["a", "b"], {"a": "b"}) is PHOTO
    unit = groups_of(["a", "b", "c"], {"a": "x", "c": "x"})
    assert (unit.name, unit.members) == ("group", (0, 1, 0))
    values = np.array([1.0, 5.0, 3.0])
    assert unit.means(values)[0].tolist() == [2.0, 5.0]
    assert unit.means(np.array([1.0, np.nan, np.nan]), values)[1].tolist() == [1.0]

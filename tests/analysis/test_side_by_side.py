"""Differences between trials: paired by photo where they share photos, else not."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from brittle.analysis.finished import Finished
from brittle.analysis.side_by_side import Named, Protected, pair, unpaired_interval
from brittle.declaration.primary import Primary
from brittle.record.arms import Arm
from brittle.record.manifest import Manifest, Model, PhotoEntry, Written
from brittle.record.record import Record
from tests.analysis.trials import ARM, JPEG, PLACEBO, build, summary_of

USABLE = {
    (arm, transform): 0.9 for arm in ("original", ARM, PLACEBO) for transform in ("none", JPEG)
}


def finished(name, effect, *, photos=12, digest="same", usable=None, seed=1):
    """A trial whose effect is ``effect`` times a strength of each photo's own."""
    strength = 1 + 0.4 * np.random.default_rng(7).standard_normal(photos)
    noise = np.random.default_rng(seed)

    def moved(photo, point):
        return 0.1 + effect * strength[photo] + 0.01 * abs(noise.standard_normal())

    distances = {
        (ARM, "none"): moved, (ARM, JPEG): moved, (PLACEBO, "none"): 0.1, (PLACEBO, JPEG): 0.1,
        ("gray", "none"): 1.0, ("gray", JPEG): 1.0,
    }  # fmt: skip
    rows = build(distances, photos=photos, usable=usable or USABLE)
    names = sorted({row.image for row in rows})
    manifest = Manifest(
        schema_version=1,
        trial=Written(as_written={}, resolved={}),
        primary=Primary(),
        model=Model(name="embedded", size=128),
        photos=tuple(PhotoEntry(name=one, digest=f"{digest}-{one}") for one in names),
        arms=(Arm.named("original"), Arm.named(ARM)),
    )
    trial = Finished(Record(None, manifest, rows, ()), summary_of(rows))
    return Protected(Named(name, trial), ARM)


def difference(pairing, outcome, transform="none"):
    return next(
        one.interval
        for one in pairing.differences
        if (one.outcome, one.transform) == (outcome, transform)
    )


def test_shared_photos_are_paired_and_say_more():
    first, second = finished("a", 0.4), finished("b", 0.5, seed=2)
    paired = pair(first, second)
    other = pair(first, finished("b", 0.5, seed=2, digest="other"))
    assert paired.paired
    assert "paired by photo: 12 photos and 2 pairs of prompt and seed" in paired.words
    assert not other.paired
    assert "not paired" in other.words
    mine, loose = difference(paired, "reach"), difference(other, "reach")
    assert mine.estimate == pytest.approx(loose.estimate, abs=1e-9)
    assert mine.estimate == pytest.approx(0.1 / 0.9, abs=0.03)
    assert mine.low > 0
    assert loose.low < 0 < loose.high
    assert (mine.high - mine.low) < 0.4 * (loose.high - loose.low)


def test_a_difference_turns_its_sign_with_the_order():
    first, second = finished("a", 0.4), finished("b", 0.5, seed=2)
    one, other = (difference(pair(*two), "reach") for two in ((first, second), (second, first)))
    assert (one.estimate, one.low) == pytest.approx((-other.estimate, -other.high))


def test_a_trial_beside_itself_differs_by_nothing():
    trial = finished("a", 0.4)
    for one in pair(trial, replace(trial)).differences:
        assert one.interval.estimate == 0


def test_usable_edits_are_compared_where_both_judge_them():
    worse = {key: 0.3 if key[0] == ARM else 0.9 for key in USABLE}
    pairing = pair(finished("a", 0.4), finished("b", 0.4, usable=worse))
    assert difference(pairing, "usable", JPEG).high < 0
    few = dict.fromkeys(USABLE, 0.1)
    pairing = pair(finished("a", 0.4), finished("b", 0.4, usable=few))
    assert {one.outcome for one in pairing.differences} == {"reach"}
    assert "usable is not judged" in pairing.words


def test_few_photos_have_no_interval():
    pairing = pair(finished("a", 0.4, photos=4), finished("b", 0.5, photos=4))
    assert difference(pairing, "reach").note == "4 photos: no interval"


def test_welch_s_interval_is_scipy_s():
    random = np.random.default_rng(2)
    left, right = random.normal(1, 2, 15), random.normal(0, 0.5, 9)
    found = unpaired_interval(left, right, 0.025)
    known = stats.ttest_ind(left, right, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((known.low, known.high), rel=1e-9)
    assert found.n == 9


def test_a_difference_of_shares_stays_between_minus_one_and_one():
    """As where photos are paired; what isn't of shares may lie anywhere."""
    all_of_them, none = np.ones(8), np.zeros(8)
    found = unpaired_interval(all_of_them, none, 0.025, extra=1.0)
    assert (found.estimate, found.high) == (1, 1)
    assert 0.5 < found.low < 0.7
    turned = unpaired_interval(none, all_of_them, 0.025, extra=1.0)
    assert (turned.estimate, turned.low, turned.high) == (-1, -1, -found.low)
    beyond = unpaired_interval(np.linspace(1, 3, 8), none, 0.025)
    assert beyond.high > 1

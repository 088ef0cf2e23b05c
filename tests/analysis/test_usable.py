import dataclasses

import numpy as np
import pytest

from brittle.analysis import Evidence
from brittle.analysis.evidence import ThresholdErrors, UsableFrom
from brittle.record.rows import Row
from tests.analysis.trials import ARM, JPEG, PLACEBO, build, summary_of, trial

SHARES = {
    ("original", "none"): 0.9,
    ("original", JPEG): 0.8,
    (PLACEBO, "none"): 0.9,
    (PLACEBO, JPEG): 0.8,
    (ARM, "none"): 0.1,
    (ARM, JPEG): 0.6,
}


def with_usable(shares=SHARES, **options):
    return build(trial(0.6, 0.3), points=10, usable=shares, **options)


def test_rates_are_means_over_photos_with_differences_beside_them():
    summary = summary_of(with_usable())
    found = summary.usable_of(ARM, JPEG)
    assert found.rate.estimate == pytest.approx(0.6)
    assert found.difference.estimate == pytest.approx(-0.2)
    assert found.from_clean.estimate == pytest.approx(-0.3)
    assert (found.n, found.rows, found.usable) == (12, 120, 72)
    assert set(found.per_photo.values()) == {0.6}
    assert summary.usable_of("original", "none").difference is None


def test_the_headline_counts_a_hundred_edits_with_the_placebo():
    sentence = summary_of(with_usable()).headline.sentence
    assert sentence == (
        "On the embedded model (128 px; the intervals cover photos, not models), white-box (made "
        "against the model that edits), 1 prompt (which the intervals do not cover), of 100 edits, "
        "usable: 90 of the unprotected photo, 90 with plain noise, 10 of the protected one, 60 of "
        "the protected one after JPEG 75 (unprotected after JPEG 75: 80); with "
        "whichever of 1 transform or none works, 60 % [29, 86] of the protected one (unprotected: "
        "90 % [59, 100])."
    )


def test_few_edits_are_counted():
    few = build(trial(0.6, 0.3), points=1, photos=3, usable=SHARES)
    sentence = summary_of(few).headline.sentence
    assert "usable edits: 3 of 3 of the unprotected photo, 3 of 3 with plain noise" in sentence
    assert " of 100" not in sentence
    enough = summary_of(build(trial(0.6, 0.3), points=2, photos=10, usable=SHARES))
    assert ", of 100 edits, usable: 90 of the unprotected" in enough.headline.sentence
    less = summary_of(build(trial(0.6, 0.3), points=1, photos=19, usable=SHARES))
    assert "usable edits: 18 of 19 of the unprotected photo" in less.headline.sentence


def test_few_edits_that_moved_are_counted():
    sentence = summary_of(build(trial(0.6, 0.3), photos=3, points=1)).headline.sentence
    assert ", 3 of 3 edits of the protected photo moved further from the control" in sentence
    assert ", and 3 of 3 after JPEG 75 (by chance alone: half)" in sentence


def test_below_60_in_100_clean_edits_nothing_is_judged():
    summary = summary_of(with_usable({**SHARES, ("original", "none"): 0.5}))
    assert "only 50 of 100 edits of unprotected photos" in summary.usable_reason
    assert summary.usable_of(ARM, JPEG).rate is None
    assert summary.usable_of(ARM, JPEG).reason == summary.usable_reason
    assert summary.verdict(ARM, JPEG).attacker == "not judged"
    assert "by chance alone: half" in summary.headline.sentence
    assert summary_of(with_usable({**SHARES, ("original", "none"): 0.6})).usable_reason == ""


def test_missing_judgements_give_their_own_reason():
    rows = [
        dataclasses.replace(row, value=None, reason="not calibrated")
        if row.metric == "usable"
        else row
        for row in with_usable()
    ]
    assert summary_of(rows).usable_reason == "not calibrated"


def no_value(row):
    return [dataclasses.replace(row, value=None, reason="black picture")]


def no_row(row):
    return []


@pytest.mark.parametrize(
    ("lose", "attacker"), [(no_value, "not judged"), (no_row, "not judged"), (None, "harder")]
)
def test_unusable_edits_that_are_dropped_do_not_make_it_open(lose, attacker):
    shares = {
        **dict.fromkeys([(one, t) for one in ("original", PLACEBO) for t in ("none", JPEG)], 1.0),
        (ARM, "none"): 0.0,
        (ARM, JPEG): lambda photo, point: 1.0 - point,  # one of two edits of each photo
    }
    rows = build(trial(0.6, 0.58), photos=20, points=2, usable=shares)
    lost = [row for row in rows if row.metric == "usable" and row.value == 0] if lose else []
    kept = [row for row in rows if row not in lost]
    summary = summary_of(kept + [each for row in lost for each in lose(row)])
    found = summary.verdict(ARM, JPEG)
    assert found.attacker == attacker
    assert found.word == "survived"
    if lose:
        assert summary.usable_of(ARM, JPEG).rate.estimate == 1.0
        assert found.attacker_why == "of 40 edits 20 lack a judgement in some arm"
        assert "Of 40 edits 20 lack a judgement in some arm." in found.sentence
        assert (summary.missing.judged, summary.missing.unjudged) == (80, 60)


def test_a_transform_is_not_untestable_by_the_judgements_that_are_left():
    rows = with_usable({**SHARES, ("original", JPEG): 0.1})
    assert summary_of(rows).verdict(ARM, JPEG).word == "untestable"
    kept = [
        row
        for row in rows
        if (row.metric, row.arm, row.transform) != ("usable", "original", JPEG) or row.seed % 2
    ]
    claims = {claim.name for claim in summary_of(kept).verdict(ARM, JPEG).claims}
    assert "untestable" not in claims


def test_a_prompt_without_thresholds_is_not_asked_about():
    rows = with_usable()
    other = [
        dataclasses.replace(row, prompt="in the rain", value=None, reason="not calibrated")
        if row.metric == "usable"
        else dataclasses.replace(row, prompt="in the rain")
        for row in rows
    ]
    found = summary_of(rows + other)
    assert found.missing.unjudged == 0
    assert found.verdict(ARM, JPEG).attacker == summary_of(rows).verdict(ARM, JPEG).attacker


@pytest.mark.parametrize("clip", ["", ":clip=somewhere"])
def test_follow_and_keep_are_told_apart_even_where_usable_is_not(clip):
    scores = [
        Row(f"p{photo:02}", ARM, JPEG, "img2img", "as a painting", 0, metric + clip, "photo", value)
        for photo in range(12)
        for metric, value in (("follow", 0.8), ("keep", 0.3))
    ]
    found = summary_of(build(trial(0.6, 0.3)) + scores).usable_of(ARM, JPEG)
    assert (found.rate, found.follow, found.keep) == (None, pytest.approx(0.8), pytest.approx(0.3))


def test_several_tries_succeed_more_often_than_one():
    best = summary_of(with_usable({**SHARES, (ARM, JPEG): 0.2})).verdict(ARM, JPEG).best_of
    assert best.tries == 4
    assert best.independent == pytest.approx(1 - 0.8**4)
    # 2 of 10 edits of a photo are usable; 4 of the 10 drawn miss both in 8*7*6*5/(10*9*8*7).
    assert best.within_photo == pytest.approx(1 - (8 * 7 * 6 * 5) / (10 * 9 * 8 * 7))


def test_within_a_photo_too_few_edits_say_nothing_about_four_tries():
    rows = build(trial(0.6, 0.3), points=2, usable={**SHARES, (ARM, JPEG): 0.0})
    best = summary_of(rows).verdict(ARM, JPEG).best_of
    assert best.within_photo is None


def test_a_transforms_cost_stands_beside_what_another_seed_does():
    def rows(transform, reference, value):
        return [
            Row(f"p{photo:02}", "original", transform, "img2img", "as a painting", 0,
                "perceptual.distance", reference, value + 0.01 * photo)
            for photo in range(12)
        ]  # fmt: skip

    summary = summary_of(with_usable() + rows(JPEG, "clean", 0.2) + rows("none", "seed", 0.3))
    (cost,) = summary.transform_costs
    assert cost.transform == JPEG
    assert cost.usable.estimate == pytest.approx(0.1)
    assert cost.distance.estimate == pytest.approx(0.255)
    assert cost.seed_floor.estimate == pytest.approx(0.355)
    assert cost.within_seed_floor


def judged_by(keeps, error):
    """Ten photos of four edits each, of which ``keeps`` gives the score, by a threshold of 0.5."""
    rows = [
        Row(
            f"p{photo:02}", arm, transform, "img2img", "as a painting", seed, metric, "photo", value
        )
        for arm in ("original", PLACEBO, ARM)
        for transform in ("none", JPEG)
        for photo in range(10)
        for seed in range(4)
        for score in [keeps(arm, transform, photo, seed)]
        for metric, value in (("usable", float(score >= 0.5)), ("keep", score), ("follow", 1.0))
    ]
    photos = {f"p{photo:02}" for photo in range(10)}
    errors = ThresholdErrors(follow=("follow", 0.1), keep=("keep", error))
    known = UsableFrom(
        follow="follow",
        keep="keep",
        least={photo: {"as a painting": (0.5, 0.5)} for photo in photos},
        errors={photo: {"as a painting": errors} for photo in photos} if error else {},
        photos=24,
    )
    found = build(trial(0.6, 0.3), photos=10, points=4) + rows
    return summary_of(found, evidence=Evidence(usable_from=known))


def test_intervals_allow_for_thresholds_that_other_photos_would_have_moved():
    # Of the protected edits one of four lies at 0.55 and one at 0.45, near the threshold.
    def keeps(arm, transform, photo, seed):
        return (0.1, 0.45, 0.55, 0.9)[seed] if arm == ARM else 0.9

    taken, counted = (judged_by(keeps, error) for error in (0.0, 0.1))
    rate, wider = (one.usable_of(ARM, JPEG).rate for one in (taken, counted))
    assert rate.estimate == wider.estimate == 0.5
    # One standard error either way moves a quarter of the edits: 0.5 +- 0.25.
    half = np.hypot(rate.estimate - rate.low, 1.959964 * 0.25)
    assert wider.low == pytest.approx(max(0.5 - half, 0))
    assert wider.method == "korn-graubard + thresholds"
    clean, same = (one.usable_of("original", JPEG).rate for one in (taken, counted))
    assert clean == same  # far from the threshold nothing moves
    narrow, wide = (one.usable_of(ARM, JPEG).from_clean for one in (taken, counted))
    assert wide.low < narrow.low
    assert wide.high > narrow.high
    assert counted.thresholds.endswith("allow for thresholds that come from 24 photos.")
    assert "their calibration doesn't say how unsure they are" in taken.thresholds


def test_what_moves_with_the_same_threshold_cancels_in_a_difference():
    def keeps(arm, transform, photo, seed):
        return (0.45, 0.55, 0.9, 0.9)[seed]

    taken, counted = (judged_by(keeps, error) for error in (0.0, 0.1))
    assert taken.usable_of(ARM, JPEG).rate != counted.usable_of(ARM, JPEG).rate
    assert taken.usable_of(ARM, JPEG).difference == counted.usable_of(ARM, JPEG).difference

import numpy as np
import pytest

from brittle.analysis.worst_case import cross_fit
from brittle.declaration.primary import Primary
from brittle.record.rows import Row
from tests.analysis.trials import ARM, PLACEBO, build, summary_of

TRANSFORMS = ("flip", "jpeg:quality=75", "median-blur:size=3")


def lines(left, *, points=4, extra=(), noise=0.0, **options):
    distances = {(ARM, "none"): 0.6, (PLACEBO, "none"): 0.1, ("gray", "none"): 1.0}
    for transform, level in zip(TRANSFORMS, left, strict=True):
        distances |= {(ARM, transform): level, (PLACEBO, transform): 0.1, ("gray", transform): 1.0}
    rows = build(distances, points=points, noise=noise, **options) + list(extra)
    summary = summary_of(rows, primary=Primary(transforms=(TRANSFORMS[1],)))
    return {(case.arm, case.line): case for case in summary.worst_cases}


def scores(metric, reference, values, arm=ARM):
    return [
        Row(f"p{photo:02}", arm, transform, "img2img", "as a painting", seed, metric, reference,
            value)
        for photo in range(12)
        for seed in range(4)
        for transform, value in zip(TRANSFORMS, values, strict=True)
    ]  # fmt: skip


def test_what_chose_does_not_score():
    criterion = np.array([[[0.0, 5.0], [3.0, 1.0]]])
    scores = np.array([[[10.0, 20.0], [30.0, 40.0]]])
    value, choice = cross_fit(criterion, scores)
    # The first half chooses transform 0, scored at 20; the second transform 1, scored at 30.
    assert choice.tolist() == [[0, 1]]
    assert value.tolist() == [25.0]


def test_the_oracle_finds_each_photos_weakest_transform():
    def flip(photo, point):
        return 0.2 if photo % 2 else 0.6

    def median(photo, point):
        return 0.6 if photo % 2 else 0.2

    found = lines((flip, 0.5, median))[ARM, "oracle"]
    assert found.effect.estimate == pytest.approx(0.1)
    assert found.share == pytest.approx(0.2)
    assert found.chosen == {"flip": 12, "median-blur:size=3": 12}
    assert found.transforms == 3


def test_the_plain_minimum_is_lower_than_what_is_really_left():
    found = lines((0.5, 0.5, 0.5), noise=0.2)[ARM, "oracle"]
    fixed = lines((0.5, 0.5, 0.5), noise=0.2)[ARM, "fixed"]
    assert found.plain_minimum < found.effect.estimate - 0.03
    assert found.effect.estimate == pytest.approx(fixed.effect.estimate, abs=0.06)


def test_one_seed_cannot_choose_and_score():
    found = lines((0.5, 0.4, 0.3), points=1)[ARM, "oracle"]
    assert found.effect is None
    assert found.reason == "one seed only: what chooses must not score"


def test_the_selector_sees_only_the_published_file():
    missing = lines((0.5, 0.4, 0.3))[ARM, "selector"]
    assert missing.effect is None
    assert "published file" in missing.reason
    extra = scores("follow", "published", (0.9, 0.8, 0.7)) + scores(
        "keep", "published", (0.9, 0.2, 0.1)
    )
    found = lines((0.5, 0.4, 0.3), extra=extra)[ARM, "selector"]
    assert found.chosen == {"flip": 24}
    assert found.effect.estimate == pytest.approx(0.4)


def test_the_selector_goes_by_a_score_with_a_setting_as_well():
    extra = scores("follow:clip=some/clip", "published", (0.9, 0.8, 0.7)) + scores(
        "keep:clip=some/clip", "published", (0.9, 0.2, 0.1)
    )
    assert lines((0.5, 0.4, 0.3), extra=extra)[ARM, "selector"].chosen == {"flip": 24}


def test_the_lower_rank_of_both_scores_decides():
    extra = scores("follow", "published", (0.9, 0.8, 0.1)) + scores(
        "keep", "published", (0.1, 0.8, 0.9)
    )
    assert lines((0.5, 0.4, 0.3), extra=extra)[ARM, "selector"].chosen == {"jpeg:quality=75": 24}


def test_the_fixed_line_is_jpeg_75():
    found = lines((0.5, 0.4, 0.3))[ARM, "fixed"]
    assert found.effect.estimate == pytest.approx(0.3)
    assert found.chosen == {"jpeg:quality=75": 12}


def test_the_same_search_runs_on_original_and_placebo():
    usable = {(arm, "none"): 1.0 for arm in ("original", PLACEBO, ARM)}
    usable |= {(arm, t): 1.0 for arm in ("original", PLACEBO, ARM) for t in TRANSFORMS}
    usable[ARM, "flip"] = 0.0
    extra = [
        row
        for arm in ("original", PLACEBO, ARM)
        for metric in ("follow", "keep")
        for row in scores(metric, "photo", (0.1, 0.9, 0.5), arm)
    ]
    found = lines((0.5, 0.4, 0.3), extra=extra, usable=usable)
    for arm in ("original", PLACEBO, ARM):
        assert found[arm, "oracle"].usable.estimate == 1.0
        assert found[arm, "fixed"].usable.estimate == 1.0
    assert found["original", "oracle"].chosen == {"jpeg:quality=75": 24}
    assert found["original", "oracle"].effect is None

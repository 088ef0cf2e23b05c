"""Protections whose true curves of effect over distortion are known, fed through results.csv."""

import numpy as np
import pytest

from brittle.analysis.sweep import interpolate
from brittle.declaration.primary import Primary
from brittle.record.rows import Row, format_results, parse_results
from tests.analysis.trials import JPEG, summary_of

BUDGETS = (4, 8, 12, 16)
EDITOR, PROMPT = "img2img", "as a painting"


def protection(name, cost, effect, *, usable=None, psnr_cost=None, budgets=BUDGETS):
    """Rows of one protection: what a budget costs the eye, and what that buys.

    ``cost``: distortion of a unit of budget; ``effect`` and ``usable``: functions of distortion.
    """
    rng = np.random.default_rng(sum(map(ord, name)))
    rows = []
    for photo in range(12):
        image = f"p{photo:02}"
        for budget in budgets:
            arm = f"{name}:budget={budget}/255"
            distortion = cost * budget / 16 * (1 + 0.02 * photo)
            seen = (psnr_cost or cost) / cost * distortion / 10

            def row(arm, transform, metric, reference, value, seed=0, image=image):
                return Row(
                    image, arm, transform, EDITOR, PROMPT, seed, metric, reference, float(value)
                )

            rows += [
                row(arm, "none", "perceptual.distance", "release", distortion),
                row(arm, "none", "perceptual", "release", distortion),
                row(arm, "none", "psnr.distance", "release", seen),
                row(arm, "none", "psnr", "release", -20 * np.log10(seen)),
            ]
            for transform, left in (("none", 1), (JPEG, 0.5)):
                noise = abs(rng.normal(0, 0.01, 2))
                moved = 0.1 + left * effect(distortion) + noise[0]
                rows += [
                    row(arm, transform, "perceptual.distance", "control", moved),
                    row(f"noise({arm})", transform, "perceptual.distance", "control",
                        0.1 + noise[1]),
                ]  # fmt: skip
                hits = (usable or (lambda x: 0.9 - effect(x)))(distortion)
                for seed in range(10):
                    rows += [
                        row(arm, transform, "usable", "photo", (seed + 0.5) / 10 < hits, seed),
                        row("original", transform, "usable", "photo", seed < 9, seed),
                    ]
            for transform in ("none", JPEG):
                rows.append(row("gray", transform, "perceptual.distance", "control", 1.0))
    return rows


def fair(*rows, **options):
    read = parse_results(format_results(dict.fromkeys(row for part in rows for row in part)))
    return summary_of(read, primary=Primary(transforms=(JPEG,)), **options).fair


def ranks(found, outcome="reach", at="equal distortion", budget="", transform="none"):
    (one,) = [
        ranking
        for ranking in found.rankings
        if (ranking.outcome, ranking.at, ranking.budget, ranking.transform)
        == (outcome, at, budget, transform)
    ]
    return one


def curve(steepness):
    """More distortion buys more, with less and less gain."""
    return lambda x: steepness * np.sqrt(x)


def test_the_same_curve_ties_although_the_budget_says_otherwise():
    found = fair(protection("one", 0.4, curve(0.5)), protection("two", 0.7, curve(0.5)))
    assert found.reason == ""
    for transform in ("none", JPEG):
        assert ranks(found, transform=transform).ranks == {"one": 1, "two": 1}
        assert "no difference is settled" in ranks(found, transform=transform).sentence
    at_budget = ranks(found, at="equal budget", budget="8/255")
    assert at_budget.ranks == {"two": 1, "one": 2}
    assert "at 8/255 alone, not at equal distortion" in at_budget.sentence


def test_the_better_one_wins_although_the_budget_says_otherwise():
    found = fair(
        protection("better", 0.3, curve(0.6), usable=lambda x: 0.9 - 1.4 * np.sqrt(x)),
        protection("louder", 0.9, curve(0.45)),
    )
    for outcome in ("reach", "usable"):
        assert ranks(found, outcome).ranks == {"better": 1, "louder": 2}
    assert ranks(found, at="equal budget", budget="8/255").ranks == {"louder": 1, "better": 2}
    sentence = "By reach after JPEG 75, at equal distortion: 1. better, 2. louder."
    assert sentence in found.sentences
    # Read at equal distortion, the truth is .6 against .45 times the root of what both reach.
    for one in found.differences:
        if (one.transform, one.outcome) == ("none", "reach"):
            (mine,) = [
                point
                for point in found.curve
                if (point.ruler, point.transform, point.place, point.protection)
                == (one.ruler, "none", 0.5, "better")
            ]
            middle = mine.effect.estimate / 0.6
            assert one.difference.estimate == pytest.approx(0.15 * middle, abs=0.01)


def test_names_do_not_matter():
    a, b = (0.3, curve(0.6)), (0.9, curve(0.45))
    there = fair(protection("ab", *a), protection("ba", *b))
    back = fair(protection("ba", *a), protection("ab", *b))
    for one, other in zip(there.differences, back.differences, strict=True):
        assert one.difference.estimate == pytest.approx(-other.difference.estimate, abs=1e-9)


def test_only_what_both_rulers_say_is_settled():
    found = fair(
        protection("better", 0.4, curve(0.6), psnr_cost=1.2),
        protection("other", 0.4, curve(0.45), psnr_cost=0.4),
    )
    by_ruler = {
        one.ruler: one.difference
        for one in found.differences
        if (one.transform, one.outcome) == ("none", "reach")
    }
    assert by_ruler["perceptual"].low > 0 > by_ruler["psnr"].high
    assert ranks(found).ranks == {"better": 1, "other": 1}


def test_rankings_that_differ_are_both_shown():
    found = fair(
        protection("far", 0.4, curve(0.6), usable=lambda x: 0.8),
        protection("useless", 0.4, curve(0.45), usable=lambda x: 0.2),
    )
    assert ranks(found).ranks == {"far": 1, "useless": 2}
    assert ranks(found, "usable").ranks == {"useless": 1, "far": 2}
    assert "The two rankings after JPEG 75 differ: both are shown." in found.sentences


def test_nothing_is_extrapolated():
    found = fair(protection("mild", 0.1, curve(0.5)), protection("strong", 0.9, curve(0.5)))
    assert "nothing is extrapolated: choose budgets that overlap" in found.reason
    assert (found.curve, found.differences) == ((), ())
    assert {one.at for one in found.rankings} == {"equal budget"}


def test_a_photo_without_a_common_distortion_is_left_out_and_counted():
    one, two = protection("one", 0.4, curve(0.5)), protection("two", 0.4, curve(0.5))
    two = [
        Row(*row.key[:8], row.value * 100)
        if (row.image, row.reference, row.metric) == ("p03", "release", "perceptual.distance")
        else row
        for row in two
    ]
    found = fair(one, two)
    assert found.left_out == {"perceptual": ("p03",), "psnr": ()}
    assert {point.n for point in found.curve if point.ruler == "perceptual"} == {11}
    assert any("1 photo of 12 had no distortion that all" in said for said in found.sentences)


def test_three_budgets_are_no_sweep():
    rows = [protection(name, 0.4, curve(0.5), budgets=(4, 8, 12)) for name in ("one", "two")]
    found = fair(*rows)
    assert "fewer than 4 budgets" in found.reason
    assert all("alone, not at equal distortion" in one.sentence for one in found.rankings)


def test_without_the_files_measured_there_is_no_comparison():
    rows = [
        [row for row in protection(name, 0.4, curve(0.5)) if row.reference != "release"]
        for name in ("one", "two")
    ]
    assert "add both to the trial's metrics" in fair(*rows).reason


def test_one_protection_is_compared_with_nothing():
    assert fair(protection("one", 0.4, curve(0.5))) is None


def test_interpolation_stays_between_its_points():
    x = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [4.0, 4.0]])
    y = np.array([[0.0, 0.0], [0.0, np.nan], [1.0, 1.0], [1.0, 1.0]])
    assert interpolate(np.array([2.5, 2.5]), x, y) == pytest.approx([0.5, np.nan], nan_ok=True)
    assert interpolate(np.array([1.5, 2.5]), x, y)[0] == 0
    assert np.isnan(interpolate(np.array([0.9, 4.1]), x, y)).all()

import dataclasses
import random
import time

import pytest

from brittle.analysis.table import natural
from brittle.declaration.primary import Contrast, Primary
from brittle.errors import UserError
from brittle.record.rows import Row, format_results, parse_results
from tests.analysis.trials import (
    ARM,
    JPEG,
    PLACEBO,
    SCOPE,
    build,
    simulations,
    summary_of,
    trial,
)  # fmt: skip

USABLE = {
    (arm, transform): 0.9 for arm in ("original", ARM, PLACEBO) for transform in ("none", JPEG)
}
ROWS = build(trial(0.6, 0.35), noise=0.1, usable=USABLE)


def verdict_words(summary):
    return [(found.word, found.attacker) for found in summary.verdicts]


def test_the_order_of_rows_does_not_matter():
    shuffled = ROWS.copy()
    random.Random(0).shuffle(shuffled)
    assert summary_of(shuffled).to_json() == summary_of(ROWS).to_json()


def test_the_file_says_all_that_the_rows_say():
    assert summary_of(parse_results(format_results(ROWS))) == summary_of(ROWS)


def test_the_unit_of_a_distance_does_not_matter():
    larger = [
        dataclasses.replace(row, value=7 * row.value) if "distance" in row.metric else row
        for row in ROWS
    ]
    one, seven = summary_of(ROWS), summary_of(larger)
    for transform in ("none", JPEG):
        for name in ("reach", "retention"):
            mine, other = (getattr(s.effect(ARM, transform), name) for s in (one, seven))
            if mine is not None:
                assert (other.estimate, other.low, other.high) == pytest.approx(
                    (mine.estimate, mine.low, mine.high), rel=1e-9
                )
        assert seven.effect(ARM, transform).win_rate == one.effect(ARM, transform).win_rate
    assert verdict_words(seven) == verdict_words(one)
    assert seven.effect(ARM, JPEG).effect.estimate == pytest.approx(
        7 * one.effect(ARM, JPEG).effect.estimate
    )


def test_swapping_arm_and_placebo_turns_the_signs():
    swap = {ARM: PLACEBO, PLACEBO: ARM}
    swapped = [dataclasses.replace(row, arm=swap.get(row.arm, row.arm)) for row in ROWS]
    for transform in ("none", JPEG):
        one, other = (summary_of(rows).effect(ARM, transform) for rows in (ROWS, swapped))
        assert other.effect.estimate == pytest.approx(-one.effect.estimate)
        assert other.effect.low == pytest.approx(-one.effect.high)
        assert other.win_rate == pytest.approx(1 - one.win_rate)


def test_an_identity_as_second_transform_has_a_share_of_exactly_one():
    same = [dataclasses.replace(row, transform=JPEG) for row in ROWS if row.transform == "none"]
    retention = (
        summary_of([row for row in ROWS if row.transform == "none"] + same)
        .effect(ARM, JPEG)
        .retention
    )
    assert (retention.estimate, retention.low, retention.high) == (1.0, 1.0, 1.0)


def test_repeated_rows_do_not_narrow_an_interval():
    assert summary_of(ROWS + ROWS) == summary_of(ROWS)
    more_seeds = ROWS + [dataclasses.replace(row, seed=row.seed + 10) for row in ROWS]
    one, twice = summary_of(ROWS), summary_of(more_seeds)
    for transform in ("none", JPEG):
        mine, other = (s.effect(ARM, transform).effect for s in (one, twice))
        assert other.high - other.low == pytest.approx(mine.high - mine.low)
        mine, other = (s.usable_of(ARM, transform).difference for s in (one, twice))
        assert other.high - other.low == pytest.approx(mine.high - mine.low)


def test_two_values_for_one_cell_are_refused():
    wrong = dataclasses.replace(ROWS[0], value=ROWS[0].value + 1)
    with pytest.raises(UserError, match="two values"):
        summary_of([*ROWS, wrong])


def test_nothing_is_nothing():
    with pytest.raises(UserError, match="no results"):
        summary_of([])


@pytest.mark.parametrize(
    ("primary", "complaint"),
    [
        (Primary(metric="lpips"), "'lpips' has no distances; the trial has perceptual"),
        (Primary(arms=("sheild",)), "the arm 'sheild'; the trial's protections are shield"),
        (Primary(editor="inpaint"), "the editor 'inpaint'; the trial has img2img"),
    ],
)
def test_a_declaration_of_what_is_not_there_is_refused(primary, complaint):
    with pytest.raises(UserError, match=complaint):
        summary_of(ROWS, primary=primary)


def test_several_editors_need_a_declared_one():
    both = ROWS + build(trial(0.6, 0.6), editor="inpaint")
    with pytest.raises(UserError, match="primary must name one"):
        summary_of(both)
    summary = summary_of(both, primary=Primary(transforms=(JPEG,), editor="inpaint"))
    assert {found.editor for found in summary.verdicts} == {"inpaint"}
    assert {effect.editor for effect in summary.effects} == {"img2img", "inpaint"}
    assert all(e.exploratory for e in summary.effects if e.editor == "img2img")


def test_what_was_not_declared_is_exploratory():
    flip = [dataclasses.replace(row, transform="flip") for row in ROWS if row.transform == JPEG]
    summary = summary_of(ROWS + flip)
    assert summary.effect(ARM, "flip").exploratory
    assert summary.effect(ARM, "flip").effect.level == 0.95
    assert not summary.effect(ARM, JPEG).exploratory
    assert summary.verdict(ARM, "flip") is None


def test_a_trial_of_four_photos_is_an_illustration():
    summary = summary_of(build(trial(0.6, 0.35), photos=4, usable=USABLE))
    assert summary.illustration
    assert summary.illustration_words == "an illustration on 4 photos"
    assert {found.word for found in summary.verdicts} == {"no verdict"}
    for effect in summary.effects:
        assert effect.effect.low is None
    assert summary.headline.sentence.startswith(
        "On the embedded model (128 px; an illustration on 4 photos), white-box (made against the "
        "model that edits), 1 prompt, usable edits: 8 of 8 of the unprotected photo, "
    )
    assert (
        "no verdict after JPEG 75, because it has 4 photos" in summary.verdict(ARM, JPEG).sentence
    )


def test_the_photo_of_median_effect_is_named():
    rows = build(trial(lambda photo, point: 0.3 + 0.05 * photo, 0.2), photos=9, noise=0)
    headline = summary_of(rows).headline
    assert (headline.worst_photo, headline.median_photo, headline.best_photo) == (
        "p00", "p04", "p08",
    )  # fmt: skip


def test_an_announced_comparison_of_transforms_is_paired():
    flip = build({(ARM, "flip"): 0.5, (PLACEBO, "flip"): 0.1, ("gray", "flip"): 1.0}, noise=0.1)
    primary = Primary(
        transforms=(JPEG,),
        contrasts=(
            Contrast(left=JPEG, right="flip"),
            Contrast(left="flip", right=JPEG),
            Contrast(left=JPEG, right=JPEG),
            Contrast(left=JPEG, right="rotate:degrees=5"),
        ),
    )
    found = summary_of(ROWS + flip, primary=primary).comparisons
    assert [comparison.finding for comparison in found] == [
        "more is left after right", "more is left after left", "not settled",
    ]  # fmt: skip
    assert found[0].sentence.startswith("More is left after flip than after JPEG 75 (difference")
    assert found[0].difference.level == 1 - 2 * 0.025 / 4
    assert found[0].difference.low < -0.15 < found[0].difference.high


def test_metrics_and_arms_are_all_reported():
    lpips = [
        dataclasses.replace(row, metric="lpips.distance") for row in ROWS if "dist" in row.metric
    ]
    other = [
        dataclasses.replace(row, arm={ARM: "cloak", PLACEBO: "noise(cloak)"}[row.arm])
        for row in ROWS
        if row.arm in (ARM, PLACEBO)
    ]
    summary = summary_of(ROWS + lpips + other)
    assert summary.primary.arms == ("cloak", ARM)
    assert summary.comparisons_tested == 2
    assert len(summary.effects) == 2 * 2 + 2
    assert [outcome.arm for outcome in summary.outcomes] == ["cloak", ARM]


def test_a_large_trial_is_summed_up_in_two_seconds():
    transforms = ["none", *(f"jpeg:quality={q}" for q in range(10, 95, 5)), "flip"]
    arms = {ARM: 0.5, PLACEBO: 0.1, f"noise-spectrum({ARM})": 0.1, "gray": 1.0}
    rows = []
    for metric in ("perceptual", "ssim", "psnr", "latent"):
        rows += build(
            {(arm, t): level for arm, level in arms.items() for t in transforms},
            photos=10, metric=metric,
            usable={(arm, t): 0.9 for arm in ("original", ARM, PLACEBO) for t in transforms},
        )  # fmt: skip
    rows = list({row.key: row for row in rows}.values())
    assert len({row.key[:6] for row in rows}) > 1500
    start = time.process_time()
    summary_of(rows, primary=Primary())
    assert time.process_time() - start < 2


def test_simulated_arrays_and_rows_have_the_same_numbers():
    rng = simulations.np.random.default_rng(11)
    drawn = simulations.draw(rng, 5, 12, {JPEG: 0.5})
    for number in range(5):
        rows = simulations.rows_of(drawn, number)
        effect = simulations.judge(rows, Primary(transforms=(JPEG,))).effect(ARM, JPEG)
        top, bottom = (drawn.effects(t)[number] for t in (JPEG, "none"))
        _, low, high = simulations.fieller_bounds(top, bottom, 0.025)
        if effect.retention:
            assert effect.retention.low == pytest.approx(float(low))
            assert effect.retention.high == pytest.approx(float(high))
        assert effect.effect.estimate == pytest.approx(top.mean())


def test_scope_is_filled_in_and_kept():
    summary = summary_of(ROWS)
    filled = {"statement", "prompts"}
    assert summary.scope.model_dump(exclude=filled) == SCOPE.model_dump(exclude=filled)
    assert summary.scope.prompts == 1
    assert summary.scope.statement.startswith("On the embedded model")
    said = SCOPE.model_copy(update={"statement": "On a painting"})
    assert summary_of(ROWS, scope=said).headline.sentence.startswith("On a painting")


def test_rows_of_unknown_arms_do_no_harm():
    extra = [Row("p00", "noise(other)", "none", "img2img", "x", 0, "perceptual.distance",
                 "control", 0.3)]  # fmt: skip
    assert summary_of(ROWS + extra).verdicts == summary_of(ROWS).verdicts


def test_names_are_sorted_as_a_person_sorts_them():
    names = ["jpeg:quality=95", "a:budget=12/255", "a:budget=4/255", "jpeg:quality=10", "a:b=0.05"]
    assert sorted(names, key=natural) == [names[4], names[2], names[1], names[3], names[0]]

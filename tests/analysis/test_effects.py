import dataclasses

import numpy as np
import pytest

from brittle.analysis.effects import TOO_WEAK, Effects, choose_placebo, chosen_by_others
from brittle.analysis.table import Table
from brittle.record.rows import Row
from tests.analysis.trials import ARM, JPEG, PLACEBO, build, summary_of, trial


def exact(before, after, **options):
    return build(trial(before, after, **options), noise=0)


def test_an_effect_is_the_distance_beyond_the_placebos():
    effect = summary_of(exact(0.6, 0.3)).effect(ARM, JPEG)
    assert effect.distance == pytest.approx(0.3)
    assert effect.placebo == pytest.approx(0.1)
    assert effect.ceiling == pytest.approx(1.0)
    assert effect.effect.estimate == pytest.approx(0.2)
    assert effect.reach.estimate == pytest.approx(0.2 / 0.9)
    assert effect.retention.estimate == pytest.approx(0.2 / 0.5)
    assert effect.win_rate == 1.0
    assert (effect.n, effect.rows, effect.dropped) == (12, 24, 0)


def test_retention_is_a_ratio_of_means_and_not_clamped():
    def before(photo, point):
        return 0.2 if photo % 2 else 0.9

    def after(photo, point):
        return 0.2 if photo % 2 else 0.0

    effect = summary_of(build(trial(before, after), noise=0)).effect(ARM, JPEG)
    assert effect.retention is None or effect.retention.estimate == pytest.approx(0)
    assert effect.effect.estimate == pytest.approx(0.0)
    worse = summary_of(exact(0.6, 0.05)).effect(ARM, JPEG)
    assert worse.retention.estimate == pytest.approx(-0.1)


def test_a_photo_counts_once_however_many_rows_it_has():
    rows = [row for row in exact(0.6, 0.3) if not (row.image == "p00" and row.seed == 1)]

    def shifted(row):
        higher = row.image == "p00" and row.arm == ARM and row.transform == JPEG
        return dataclasses.replace(row, value=row.value + 0.12) if higher else row

    effect = summary_of([shifted(row) for row in rows]).effect(ARM, JPEG)
    assert effect.effect.estimate == pytest.approx(0.2 + 0.12 / 12)
    assert effect.rows == 23


def test_a_share_of_next_to_nothing_is_withheld_and_reach_stands_alone():
    def before(photo, point):
        return 0.11 + 0.03 * (-1) ** photo

    effect = summary_of(build(trial(before, 0.1), noise=0.002)).effect(ARM, JPEG)
    assert effect.retention is None
    assert effect.retention_reason == TOO_WEAK == "too weak for a share"
    assert effect.reach is not None
    assert "too weak for a share" in effect.summary
    assert "reach" in effect.summary


@pytest.mark.parametrize("before", [0.15, 0.05])
def test_few_photos_give_no_share_of_next_to_nothing(before):
    few = {"photos": 3, "noise": 0}
    summary = summary_of(build(trial(before, 0.08), **few))
    effect = summary.effect(ARM, JPEG)
    assert (effect.retention, effect.retention_reason) == (None, TOO_WEAK)
    assert all(case.share is None for case in summary.worst_cases if case.arm == ARM)
    assert "% of the effect" not in summary.headline.sentence
    assert summary_of(build(trial(0.3, 0.2), **few)).effect(ARM, JPEG).retention.n == 3


@pytest.mark.parametrize(("scatter", "shown"), [(0.6, True), (1.1, False)])
def test_a_share_takes_an_effect_of_two_quantiles_not_of_one(scatter, shown):
    # Mean over standard error: 5.5 and 3.0; one t quantile of 12 photos is 2.2, two are 4.4.
    def before(photo, point):
        return 0.2 + 0.1 * scatter * (-1) ** photo

    effect = summary_of(build(trial(before, 0.15), noise=0)).effect(ARM, JPEG)
    assert effect.effect is not None
    assert (effect.retention is not None) == shown


def test_without_a_gray_picture_there_is_no_reach():
    rows = [row for row in exact(0.6, 0.3) if row.arm != "gray"]
    summary = summary_of(rows)
    assert summary.effect(ARM, JPEG).reach is None
    assert summary.effect(ARM, JPEG).effect.estimate == pytest.approx(0.2)
    assert summary.verdict(ARM, JPEG).word == "no verdict"


def test_a_missing_cell_leaves_every_arm_of_its_contrast():
    rows = exact(lambda photo, point: 0.6 + 0.3 * point, 0.3)
    lost = [
        dataclasses.replace(row, value=None, reason="black picture")
        if (row.arm, row.transform, row.image, row.seed) == (PLACEBO, "none", "p00", 1)
        else row
        for row in rows
    ]
    effects = Effects(Table(lost), editor="img2img", metric="perceptual")
    clean = effects.contrast(ARM, "none")
    assert clean.dropped == 1
    assert clean.distance[0] == pytest.approx(0.6)
    assert clean.ceiling[0] == pytest.approx(1.0)
    assert clean.distance[1] == pytest.approx(0.75)
    after, before = effects.share_pair(ARM, JPEG)
    assert before[0] == pytest.approx(0.5)
    assert after[0] == pytest.approx(0.2)
    assert effects.contrast(ARM, JPEG, paired="none").dropped == 1
    summary = summary_of(lost)
    assert summary.missing.missing == 1
    assert summary.missing.dropped == 1
    assert summary.missing.reasons == {"black picture": 1}


def test_a_photo_without_a_number_is_left_out_of_n():
    lost = [
        dataclasses.replace(row, value=None, reason="too dark") if row.image == "p03" else row
        for row in exact(0.6, 0.3)
    ]
    effect = summary_of(lost).effect(ARM, JPEG)
    assert effect.n == 11
    assert "p03" not in effect.per_photo


def test_ties_are_half_won():
    effect = summary_of(exact(0.6, 0.1)).effect(ARM, JPEG)
    assert effect.win_rate == 0.5


def test_per_photo_reaches_average_to_the_reach():
    rows = build(trial(lambda photo, point: 0.3 + 0.05 * photo, 0.3), noise=0.02)
    effect = summary_of(rows).effect(ARM, "none")
    values = list(effect.per_photo_reach.values())
    assert sum(values) / len(values) == pytest.approx(effect.reach.estimate)
    assert effect.photos_above == 12


SPECTRUM = f"noise-spectrum({ARM})"


def with_spectrum(before, after, **options):
    """A trial with noise at 0.1 and a second kind of it."""
    more = build({(SPECTRUM, "none"): before, (SPECTRUM, JPEG): after}, noise=0)
    return exact(0.6, 0.3, **options) + more


def test_an_arm_is_held_against_the_stronger_placebo_after_each_transform():
    rows = with_spectrum(0.2, 0.0)
    placebo = choose_placebo(Table(rows), arms=(ARM,), editor="img2img", metric="perceptual")
    assert placebo.chosen == placebo.beside(ARM) == "noise-spectrum"
    assert placebo.distances == pytest.approx({"noise": 0.1, "noise-spectrum": 0.2})
    assert [(one.transform, one.kind) for one in placebo.stronger] == [
        ("none", "noise-spectrum"),
        (JPEG, "noise"),
    ]
    assert placebo.stronger[1].photos == {"noise": 12, "noise-spectrum": 0}
    summary = summary_of(rows)
    assert summary.placebo == placebo
    assert summary.effect(ARM, "none").effect.estimate == pytest.approx(0.4)
    assert summary.effect(ARM, JPEG).effect.estimate == pytest.approx(0.2)
    assert summary.effect(ARM, JPEG).retention.estimate == pytest.approx(0.5)
    assert "noise for 1, noise-spectrum for 1" in placebo.sentence or (
        "noise-spectrum for 1, noise for 1" in placebo.sentence
    )


def test_a_weaker_kind_of_placebo_changes_no_number():
    def numbers(rows):
        summary = summary_of(rows)
        named = {"against": ""}
        return (
            summary.effects,
            [
                [claim.model_copy(update=named) for claim in verdict.claims]
                for verdict in summary.verdicts
            ],
            [verdict.sentence for verdict in summary.verdicts],
        )

    assert numbers(with_spectrum(0.05, 0.05)) == numbers(exact(0.6, 0.3))


def test_no_two_photos_choose_the_placebo_for_each_other():
    for n in (8, 9, 13):
        asked = np.zeros((n, n), bool)  # who chooses for whom: whose number decides a tie
        for one in range(n):
            means = np.zeros((2, n))
            means[1, one] = 1.0
            asked[one] = chosen_by_others(means) == 1
        assert not np.diag(asked).any()
        assert not (asked & asked.T).any()
        assert (asked.sum(0) == (n - 1) // 2).all()


def test_photos_without_a_number_choose_nothing():
    means = np.array([[1.0, 1.0, np.nan, 1.0, 1.0], [0.0, 0.0, 9.0, 0.0, 0.0]])
    assert (chosen_by_others(means) == 0).all()
    assert chosen_by_others(np.array([[1.0], [2.0]])) == 1


def test_a_kind_of_placebo_that_one_arm_lacks_is_not_chosen():
    rows = exact(0.6, 0.3) + [
        dataclasses.replace(row, arm={ARM: "other", PLACEBO: "noise(other)"}[row.arm])
        for row in exact(0.5, 0.2)
        if row.arm != "gray"
    ]
    rows += build({(f"noise-spectrum({ARM})", "none"): 0.9}, noise=0)
    placebo = choose_placebo(
        Table(rows), arms=(ARM, "other"), editor="img2img", metric="perceptual"
    )
    assert placebo.chosen == "noise"


def test_four_photos_are_counted_and_ranged_and_get_no_interval():
    rows = build(trial(lambda photo, point: 0.3 + 0.1 * photo, 0.2), photos=4, noise=0)
    effect = summary_of(rows).effect(ARM, "none")
    assert effect.effect.low is None
    assert effect.reach.note == "4 photos: no interval"
    assert effect.summary.startswith("all 4 of 4 photos moved further than noise of its size")
    assert "from 0.22 to 0.56 a photo" in effect.summary


def test_primary_effects_have_a_cross_check_close_to_their_interval():
    effect = summary_of(build(trial(0.6, 0.3), photos=30, noise=0.1)).effect(ARM, JPEG)
    assert not effect.exploratory
    assert effect.cross_check.method == "bootstrap-t"
    assert effect.cross_check.low == pytest.approx(effect.effect.low, abs=0.02)
    assert effect.cross_check.high == pytest.approx(effect.effect.high, abs=0.02)


def test_a_row_without_distance_form_is_not_used():
    extra = [
        Row("p00", ARM, "none", "img2img", "as a painting", 0, "psnr", "control", 30.0),
        Row("p00", ARM, "none", "img2img", "as a painting", 0, "perceptual", "control", 99.0),
    ]
    assert summary_of(exact(0.6, 0.3) + extra).effects == summary_of(exact(0.6, 0.3)).effects

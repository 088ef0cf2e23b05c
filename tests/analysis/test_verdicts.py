import dataclasses

import pytest

from brittle.analysis import Evidence
from brittle.analysis.phrases import with_bounds
from brittle.analysis.sentences import Tried, label_for, outcome
from brittle.declaration.primary import Margins, Primary
from tests.analysis.trials import (
    ARM,
    JPEG,
    PLACEBO,
    SCOPE,
    build,
    simulations,
    summary_of,
    trial,
)

CLEAN = {("original", "none"): 0.9, (PLACEBO, "none"): 0.9, (ARM, "none"): 0.1}


def usable(original: float, arm: float, placebo: float | None = None):
    return {
        **CLEAN,
        ("original", JPEG): original,
        (ARM, JPEG): arm,
        (PLACEBO, JPEG): original if placebo is None else placebo,
    }


def verdict(before, after, shares=None, *, photos=16, points=10, **options):
    rows = build(
        trial(before, after, **options),
        usable=shares or usable(0.9, 0.5),
        photos=photos,
        points=points,
    )
    return summary_of(rows).verdict(ARM, JPEG)


@pytest.mark.parametrize(
    ("before", "after", "word", "rule"),
    [
        (0.13, 0.12, "never protected", 1),
        (0.13, 0.60, "protects only after", 1),
        (0.60, 0.11, "broken", 3),
        (0.60, 0.02, "broken", 3),
        (0.60, 0.58, "survived", 4),
        (0.60, 0.90, "survived", 4),
        (0.60, 0.35, "weakened", 5),
    ],
)
def test_clear_cases_get_their_word(before, after, word, rule):
    found = verdict(before, after)
    assert (found.word, found.rule) == (word, rule)


@pytest.mark.parametrize(
    ("shares", "word"),
    [
        (usable(0.9, 0.9), "open"),
        (usable(0.9, 0.0), "closed"),
        (usable(0.9, 0.0, placebo=0.0), "harder"),
        (usable(0.2, 0.2), "spoiled for everyone"),
        (usable(0.9, 0.5), "harder"),
    ],
)
def test_an_attacker_gets_the_word_of_the_usable_edits(shares, word):
    assert verdict(0.6, 0.35, shares).attacker == word


def test_small_losses_on_few_photos_are_not_settled():
    assert verdict(0.6, 0.35, usable(0.9, 0.8), photos=8).attacker == "not settled"


def test_a_transform_that_ruins_everyones_edits_makes_the_effect_untestable():
    found = verdict(0.6, 0.11, usable(0.2, 0.1))
    assert (found.word, found.rule) == ("untestable", 2)
    assert found.attacker == "spoiled for everyone"
    assert found.untestable_settled


def test_whether_everyone_loses_is_said_where_it_is_not_settled():
    shares = {**usable(0.6, 0.5), ("original", JPEG): lambda photo, point: float(photo % 3 > 0)}
    found = verdict(0.6, 0.11, shares, photos=9)
    assert not found.untestable_settled
    assert "also ruins edits of unprotected photos is not settled" in found.sentence


def test_between_protected_and_not_nothing_is_concluded():
    found = verdict(lambda photo, point: 0.19 + 0.1 * (-1) ** photo, 0.11)
    assert (found.word, found.rule) == ("inconclusive", 1)


def test_wide_intervals_are_inconclusive_and_say_how_many_photos_would_do():
    def after(photo, point):
        return 0.35 + 0.3 * (-1) ** photo

    found = verdict(0.6, after)
    assert (found.word, found.rule) == ("inconclusive", 6)
    assert found.photos_needed.broken > 16
    assert found.photos_needed.sentence in found.sentence


def test_exactly_eight_photos_carry_a_verdict_and_seven_do_not():
    assert verdict(0.6, 0.11, photos=8).word == "broken"
    found = verdict(0.6, 0.11, photos=7)
    assert (found.word, found.rule) == ("no verdict", 0)
    assert found.why == "it has 7 photos, and a verdict takes 8"


@pytest.mark.parametrize(("lost", "word"), [(16, "broken"), (17, "no verdict")])
def test_more_than_a_tenth_missing_allows_no_verdict(lost, word):
    rows = build(trial(0.6, 0.11), photos=16, points=10)
    cells = [row.key for row in rows if (row.arm, row.transform) == (ARM, JPEG)][:lost]
    rows = [
        dataclasses.replace(row, value=None, reason="lost") if row.key in cells else row
        for row in rows
    ]
    assert summary_of(rows).verdict(ARM, JPEG).word == word


def test_the_interval_that_is_shown_decides_with_the_second_method():
    drawn = simulations.draw(
        simulations.np.random.default_rng(5), 12, 16,
        dict(zip(simulations.PRIMARY, (1.0, 0.6, 0.3, 0.0), strict=True)),
    )  # fmt: skip
    for number in range(12):
        summary = simulations.judge(simulations.rows_of(drawn, number), Primary())
        for found in summary.verdicts:
            effect = summary.effect(ARM, found.transform)
            claims = {claim.name: claim for claim in found.claims}
            if effect.retention:
                assert claims["broken"].interval == effect.retention
                for name, sure in (("broken", effect.retention.high < 0.25),
                                   ("survived", effect.retention.low > 0.75)):  # fmt: skip
                    assert (claims[name].twice is not None) == sure
                    agreed = bool(sure and claims[name].twice) and not claims[name].rises
                    assert claims[name].holds == agreed
            for claim in found.claims:
                assert claim.interval.level == found.level == 0.9875


def test_share_claims_are_the_linear_tests():
    rows = build(trial(0.6, 0.3), noise=0.3)
    summary = summary_of(rows)
    claims = {claim.name: claim for claim in summary.verdict(ARM, JPEG).claims}
    after, before = (summary.effect(ARM, t).per_photo for t in (JPEG, "none"))
    for name, margin in (("broken", 0.25), ("survived", 0.75), ("weakened", 0.75)):
        values = [after[photo] - margin * before[photo] for photo in after]
        test = simulations.mean_bounds(simulations.np.array(values), 0.025)
        assert claims[name].holds == bool(test[1] > 0 if name == "survived" else test[2] < 0)


def test_margins_are_the_declared_ones():
    rows = build(trial(0.6, 0.30), photos=16)
    strict = Primary(transforms=(JPEG,), margins=Margins(broken=0.5, survived=0.9))
    assert summary_of(rows).verdict(ARM, JPEG).word == "weakened"
    assert summary_of(rows, primary=strict).verdict(ARM, JPEG).word == "broken"


def test_the_error_level_is_shared_by_all_primary_comparisons():
    summary = summary_of(build(trial(0.6, 0.3)), primary=Primary())
    assert summary.comparisons_tested == 4
    assert summary.alpha_each == 0.025 / 4
    assert summary.verdict(ARM, JPEG).level == 0.9875
    missing = summary.verdict(ARM, "jpeg:quality=95")
    assert (missing.word, missing.why) == ("no verdict", "there are no edits of it after JPEG 95")


def test_the_sentence_says_both_verdicts_and_never_the_share_alone():
    sentence = verdict(0.6, 0.35, usable(0.9, 0.9)).sentence
    assert sentence.startswith(
        "On the embedded model (128 px; the intervals cover photos, not models), "
        "shield: weakened, and open: after JPEG 75, 50 % ["
    )
    assert "of the effect is left (reach 0.28 [" in sentence
    assert sentence.endswith("yet edits are as usable as without protection.")


def test_surviving_is_worded_as_far_as_it_was_tried():
    assert verdict(0.6, 0.6).label == "survived the 1 transform tried"
    words = {"jpeg:quality=95": "survived", JPEG: "survived"}
    two = Tried((JPEG, "jpeg:quality=95"))
    assert label_for(JPEG, words, two) == "survived the 2 transforms tried"
    mixed, three = {**words, "flip": "broken"}, Tried((*words, "flip"), less_than_half=("flip",))
    assert label_for(JPEG, mixed, three) == (
        "survived JPEG 75, one of the 3 transforms tried; less than half is left after flip"
    )
    assert label_for("flip", mixed, three) == "broken"


def test_an_arm_is_summed_up_in_a_sentence():
    two = Tried(("flip", JPEG))
    assert outcome({"flip": "survived", JPEG: "survived"}, two) == "survived the 2 transforms tried"
    assert (
        outcome({"flip": "broken", JPEG: "broken"}, two)
        == "broken, for all of the 2 transforms tried"
    )
    assert outcome({"flip": "survived", JPEG: "broken"}, two) == (
        "of the 2 transforms tried: survived: flip; broken: JPEG 75"
    )


OTHERS = ("gaussian-blur:sigma=1", "resize:factor=0.5", "flip", "bilateral")


def eight_tried(others=0.1, points=4, **options):
    """Four JPEGs leave all of the effect; what the four others leave is given."""
    distances = {}
    for transform in ("none", *Primary().transforms, *OTHERS):
        level = others if transform in OTHERS else 0.6
        distances |= {(ARM, transform): level, (PLACEBO, transform): 0.1, ("gray", transform): 1.0}
    return summary_of(build(distances, points=points, photos=16), primary=Primary(), **options)


def test_surviving_four_of_eight_says_what_the_other_four_do():
    summary = eight_tried()
    words = (
        "survived the 4 declared of 8 tried; less than half is left after bilateral, flip, "
        "Gaussian blur 1, resize 0.5"
    )
    assert summary.outcomes[0].sentence == words
    for found in summary.verdicts:
        assert (found.word, found.label) == ("survived", words)
        assert f"shield: {words}: after JPEG" in found.sentence


def test_what_others_leave_is_said_only_where_it_is_settled():
    def half(photo, point):
        return 0.35 + 0.2 * (-1) ** photo

    assert eight_tried(0.6).outcomes[0].sentence == "survived the 4 declared of 8 tried"
    assert eight_tried(half).outcomes[0].sentence == (
        "survived the 4 declared of 8 tried; whether half is left is not settled after bilateral, "
        "flip, Gaussian blur 1, resize 0.5"
    )


def test_transforms_without_edits_are_tried_too():
    summary = eight_tried(0.6, evidence=Evidence(not_edited=("rotate:degrees=5", "flip")))
    assert summary.outcomes[0].sentence == (
        "survived the 4 declared of 9 tried; no edits were made after rotation by 5°"
    )


def test_the_attackers_word_stands_before_what_the_others_leave():
    distances = {**trial(0.6, 0.6), (ARM, "flip"): 0.1, (PLACEBO, "flip"): 0.1}
    rows = build(distances, photos=16, points=10, usable=usable(0.9, 0.9))
    assert (
        "shield: survived the 1 declared of 2 tried, and open; less than half is left after flip: "
        in summary_of(rows).verdict(ARM, JPEG).sentence
    )


@pytest.mark.parametrize(
    ("white_box", "words"),
    [
        (True, "white-box (made against the model that edits), "),
        (False, "black-box (not made against the model that edits), "),
        (None, "not known whether white-box or black-box"),
    ],
)
def test_the_first_sentence_says_whose_model_how_many_prompts_and_the_worst_case(white_box, words):
    summary = eight_tried(scope=SCOPE.model_copy(update={"white_box": white_box}))
    sentence = summary.headline.sentence.partition(". Usable edits")[0]
    (worst,) = [one for one in summary.worst_cases if (one.arm, one.line) == (ARM, "oracle")]
    assert words in sentence
    assert ", 1 prompt (which the intervals do not cover), " in sentence
    assert sentence.endswith(
        "after the worst of 8 transforms or none for each photo, "
        f"{with_bounds(worst.share, as_percent=True)} of the effect is left"
    )
    assert worst.share.high < 0.05


def test_a_worst_case_without_numbers_is_said_to_be_unknown():
    summary = summary_of(build(trial(0.6, 0.1), photos=1, points=1))
    assert "; the worst case of the 1 transform tried is not known." in summary.headline.sentence


def test_an_effect_below_noise_is_no_protection_though_gray_is_below_noise_too():
    def level(photo, point):
        return 0.7 + 0.001 * photo

    below = {
        (ARM, "none"): lambda photo, point: 0.41 + 0.001 * photo,
        (ARM, JPEG): lambda photo, point: 0.42 + 0.001 * photo,
        **{(PLACEBO, transform): level for transform in ("none", JPEG)},
        **{("gray", transform): lambda photo, point: 0.2 for transform in ("none", JPEG)},
    }
    summary = summary_of(build(below, usable=usable(0.9, 0.5)))
    effect, found = summary.effect(ARM, "none"), summary.verdict(ARM, JPEG)
    assert effect.effect.estimate == pytest.approx(-0.29)
    assert effect.per_photo_reach == {}
    assert "a gray picture moves edits no further than noise, so no reach" in effect.summary
    assert effect.reach is None  # -.29 / -.51 would be a reach of .57
    assert (found.word, found.rule) == ("no verdict", 0)
    assert "a gray picture does not move edits further than noise for sure" in found.sentence
    assert not {"protected", "protected after"} & {one.name for one in found.claims if one.holds}


def test_room_that_may_be_nothing_carries_no_verdict():
    def gray(photo, point):
        return 0.1 + 0.5 * (-1) ** photo + 0.05

    assert verdict(0.6, 0.58, gray=gray).word == "no verdict"


def test_it_protects_only_after_a_transform_that_leaves_room():
    rows = trial(0.1, 0.02)
    rows[PLACEBO, JPEG], rows["gray", JPEG] = 0.1, 0.05
    assert summary_of(build(rows)).verdict(ARM, JPEG).word != "protects only after"


def test_a_transform_that_shrinks_every_distance_is_untestable_without_usable_edits():
    rows = trial(0.6, 0.11)
    rows |= {(PLACEBO, JPEG): 0.02, ("gray", JPEG): 0.15}
    found = summary_of(build(rows)).verdict(ARM, JPEG)
    assert (found.word, found.rule, found.attacker) == ("untestable", 2, "not judged")
    assert "JPEG 75 leaves less than 25 % of what a gray picture does beyond" in found.sentence


def test_what_a_transform_does_to_unprotected_photos_is_open_where_usable_is_not_judged():
    caution = "Whether JPEG 75 also ruins edits of unprotected photos is not settled."
    for after, word in ((0.11, "broken"), (0.58, "survived"), (0.35, "weakened")):
        found = summary_of(build(trial(0.6, after))).verdict(ARM, JPEG)
        assert found.word == word
        assert caution in found.sentence


def test_latents_carry_numbers_and_no_word():
    rows = build(trial(0.6, 0.11), metric="latent")
    summary = summary_of(rows, primary=Primary(metric="latent", transforms=(JPEG,)))
    found = summary.verdict(ARM, JPEG)
    assert (found.word, found.label, found.attacker) == ("no verdict", "no verdict", "not judged")
    assert "because protections optimise latents: after JPEG 75, 2 % [" in found.sentence
    assert summary.outcomes[0].sentence == "no verdict, for all of the 1 transform tried"


SPECTRUM = f"noise-spectrum({ARM})"


def with_spectrum(distances, none, after):
    return build({**distances, (SPECTRUM, "none"): none, (SPECTRUM, JPEG): after})


def test_an_arm_that_is_noise_does_not_protect_after_what_removes_another_noise():
    # Plain noise moves unblurred edits further; the transform removes it and spares the spectrum's.
    found = summary_of(with_spectrum(trial(0.3, 0.28, placebo=0.3) | {(PLACEBO, JPEG): 0.0},
                                     0.29, 0.28)).verdict(ARM, JPEG)  # fmt: skip
    assert found.word == "never protected"


def test_what_a_transform_leaves_of_noise_has_not_survived():
    rows = with_spectrum(trial(0.5, 0.28, placebo=0.3) | {(PLACEBO, JPEG): 0.0}, 0.29, 0.28)
    assert summary_of(rows).verdict(ARM, JPEG).word == "broken"


def test_a_claim_of_acting_holds_against_each_kind_of_noise():
    # The second kind is weaker on average, and so uneven that little is sure against it.
    rows = with_spectrum(trial(0.2, 0.3), lambda photo, point: 0.16 * (photo % 2), 0.1)
    found = summary_of(rows).verdict(ARM, JPEG)
    alone = summary_of(build(trial(0.2, 0.3))).verdict(ARM, JPEG)
    claims = {claim.name: claim for claim in found.claims}
    assert claims["never protected"].interval.low > 0.1
    assert claims["protected"].against == "noise-spectrum"
    assert claims["protected"].interval.low < 0.1 < claims["protected"].interval.estimate
    assert (found.word, alone.word) == ("inconclusive", "survived")
    assert " Against noise of the same size and spectrum alone, reach is 0." in found.sentence
    assert "Against" not in alone.sentence
    # Where nothing is sure against the stronger one either, no kind is to blame.
    rows = with_spectrum(trial(0.18, 0.3), lambda photo, point: 0.16 * (photo % 2), 0.1)
    found = summary_of(rows).verdict(ARM, JPEG)
    assert found.word in ("inconclusive", "protects only after", "never protected")
    assert "Against" not in found.sentence


def test_fewer_usable_edits_than_with_noise_means_each_kind_of_it():
    shares = usable(0.9, 0.0) | {(SPECTRUM, "none"): 0.9, (SPECTRUM, JPEG): 0.1}
    distances = trial(0.6, 0.58) | {(SPECTRUM, "none"): 0.1, (SPECTRUM, JPEG): 0.1}

    def judged(rows):
        return summary_of(rows).verdict(ARM, JPEG).attacker

    assert judged(build(distances, photos=16, points=10, usable=shares)) == "harder"
    del shares[SPECTRUM, JPEG]
    assert judged(build(trial(0.6, 0.58), photos=16, points=10, usable=shares)) == "closed"


def test_one_photo_that_speaks_against_it_withholds_a_word_and_the_sentence_says_why():
    def after(photo, point):
        return 0.6 if photo == 3 else 0.1

    rows = build(trial(0.6, after), photos=16)
    summary = summary_of(rows, primary=Primary(transforms=(JPEG,)))
    found = summary.verdict(ARM, JPEG)
    claims = {claim.name: claim for claim in found.claims}
    assert claims["broken"].interval.high < 0.25
    assert (claims["broken"].twice, claims["broken"].holds) == (False, False)
    assert found.word == "weakened"
    assert (
        "The two methods disagree whether less than 25 % of the effect is left: it is not sure "
        "with the photo that speaks most against it counted twice." in found.sentence
    )
    without = summary_of(build(trial(0.6, 0.1), photos=16)).verdict(ARM, JPEG)
    assert without.word == "broken"
    assert "disagree" not in without.sentence


def test_a_share_that_rises_with_the_effect_is_not_called_broken():
    # Photos of small effect lose everything; the few of large effect keep half.
    def before(photo, point):
        return 0.3 + (0.6 * (photo % 8 == 0)) + 0.05 * (photo % 3)

    def after(photo, point):
        return 0.1 + 0.8 * kept * (before(photo, point) - 0.1) ** 2

    kept = 0.4
    found = summary_of(build(trial(before, after), photos=24)).verdict(ARM, JPEG)
    claims = {claim.name: claim for claim in found.claims}
    assert claims["broken"].interval.high < 0.25
    assert claims["broken"].twice
    assert (claims["broken"].rises, claims["broken"].holds) == (True, False)
    assert found.word == "weakened"
    assert "not called broken: the share that is left rises with the effect" in found.sentence
    kept = 0.1
    less = summary_of(build(trial(before, after), photos=24)).verdict(ARM, JPEG)
    assert less.word == "broken"
    assert "rises" not in less.sentence

from dataclasses import replace

import numpy as np
import pytest

from brittle.analysis.evidence import Evidence, UsableFrom
from brittle.analysis.worst_case import cross_fit, draw_towards_others, with_others
from brittle.declaration.primary import Primary
from brittle.record.rows import Row
from tests.analysis.trials import ARM, PLACEBO, build, summary_of

NO_EVIDENCE = Evidence()
TRANSFORMS = ("flip", "jpeg:quality=75", "median-blur:size=3")
PROMPT = "as a painting"


def lines(left, *, points=4, extra=(), noise=0.0, evidence=NO_EVIDENCE, before=0.6, **options):
    """The worst cases of 12 photos; ``left``: the arm's distances after each transform."""
    distances = {(ARM, "none"): before, (PLACEBO, "none"): 0.1, ("gray", "none"): 1.0}
    for transform, level in zip(TRANSFORMS, left, strict=True):
        distances |= {(ARM, transform): level, (PLACEBO, transform): 0.1, ("gray", transform): 1.0}
    rows = build(distances, points=points, noise=noise, **options) + list(extra)
    return by_line(rows, evidence)


def by_line(rows, evidence=NO_EVIDENCE):
    summary = summary_of(rows, primary=Primary(transforms=(TRANSFORMS[1],)), evidence=evidence)
    return {(case.arm, case.line): case for case in summary.worst_cases}


def scores(metric, reference, values, arm=ARM):
    """Scores of the edits without a transform and after each."""
    return [
        Row(f"p{photo:02}", arm, transform, "img2img", PROMPT, seed, metric, reference, value)
        for photo in range(12)
        for seed in range(4)
        for transform, value in zip(("none", *TRANSFORMS), values, strict=True)
    ]


def simulated(rng, chances, *, photos, seeds=4):
    """Rows of usable edits (photos, transforms) by their chances; of no transform first."""
    names = ["none", *(f"jpeg:quality={95 - i}" for i in range(chances.shape[1] - 1))]
    rows = []
    for i in range(photos):
        for k, name in enumerate(names):
            for seed in range(seeds):
                hit = float(rng.random() < chances[i, k])
                where = (f"p{i:03}", ARM, name, "img2img", PROMPT, seed)
                original = (where[0], "original", *where[2:])
                placebo = (where[0], PLACEBO, *where[2:])
                rows += [
                    Row(*where, "usable", "photo", hit),
                    Row(*original, "usable", "photo", 1.0),
                    Row(*where, "perceptual.distance", "control", 0.5 + 0.1 * rng.random()),
                    Row(*placebo, "perceptual.distance", "control", 0.1),
                ]
    summary = summary_of(rows, primary=Primary(transforms=(names[1],)))
    cases = [case for case in summary.worst_cases if case.arm == ARM]
    return {case.line: case.usable.estimate for case in cases if case.usable}


def test_what_chose_does_not_score():
    loss = np.array([[[0.0, 5.0], [3.0, 1.0]]])
    scores = np.array([[[10.0, 20.0], [30.0, 40.0]]])
    value, choice = cross_fit(loss, scores)
    # The first half chooses transform 0, scored at 20; the second transform 1, scored at 30.
    assert choice.tolist() == [[0, 1]]
    assert value.tolist() == [25.0]


def test_a_photos_scores_never_choose_for_themselves():
    rng = np.random.default_rng(0)
    loss = rng.normal(size=(10, 5, 2))
    changed = loss.copy()
    changed[3, :, 1] = rng.normal(size=5)
    # What is scored on photo 3's second half was chosen without it, and so is the fixed one.
    assert np.array_equal(with_others(loss)[3, :, 0], with_others(changed)[3, :, 0])
    assert not np.array_equal(with_others(loss)[3, :, 1], with_others(changed)[3, :, 1])
    fixed = [draw_towards_others(one, 0)[3] for one in (loss, changed)]
    assert np.array_equal(*fixed)


def test_the_oracle_finds_each_photos_weakest_transform():
    def flip(photo, point):
        return 0.2 if photo % 2 else 0.6

    def median(photo, point):
        return 0.6 if photo % 2 else 0.2

    found = lines((flip, 0.5, median))
    oracle = found[ARM, "oracle"]
    assert oracle.effect.estimate == pytest.approx(0.1)
    assert oracle.share.estimate == pytest.approx(0.2)
    assert oracle.reach.estimate == pytest.approx(0.1 / 0.9, rel=0.02)  # of gray's 1.0 - 0.1
    assert oracle.reach.low < oracle.reach.estimate < oracle.reach.high
    assert oracle.effect_chosen == {"flip": 12, "median-blur:size=3": 12}
    assert oracle.transforms == 4
    assert found[ARM, "best fixed"].effect.estimate > 0.2


def test_a_protection_that_one_transform_removes_is_found():
    """Median blur takes all of the effect and gives every edit back; the others give nothing."""
    usable = {("original", name): 1.0 for name in ("none", *TRANSFORMS)}
    usable |= {(ARM, name): 0.0 for name in ("none", *TRANSFORMS[:2])}
    usable[ARM, TRANSFORMS[2]] = 1.0
    found = lines((0.5, 0.4, 0.1), usable=usable, noise=0.05)
    for line in ("oracle", "best fixed"):
        case = found[ARM, line]
        assert case.effect.estimate == pytest.approx(0, abs=0.02)
        assert case.share.high < 0.1
        assert case.usable.estimate == 1.0
        assert set(case.effect_chosen) == set(case.usable_chosen) == {"median-blur:size=3"}
    assert found[ARM, "any"].usable.estimate == 1.0


def test_no_transform_is_a_candidate():
    """A transform that only ruins edits is no help: the attacker leaves the file as it is."""
    found = lines((0.9, 0.9, 0.9))
    for line in ("oracle", "best fixed"):
        assert set(found[ARM, line].effect_chosen) == {"none"}
        assert found[ARM, line].share.estimate == pytest.approx(1)


def test_where_one_transform_is_best_for_all_the_lines_stand_in_order():
    """One of 17 gives .70 of 100 edits, the others .35: choosing by few edits must not cost."""
    rng = np.random.default_rng(11)
    chances = np.full((25, 18), 0.35)
    chances[:, 7] = 0.70
    found = [simulated(rng, chances, photos=25) for _ in range(8)]
    mean = {line: np.mean([one[line] for one in found]) for line in found[0]}
    assert mean["best fixed"] == pytest.approx(0.70, abs=0.05)
    assert mean["oracle"] == pytest.approx(0.70, abs=0.05)
    assert mean["oracle"] >= mean["best fixed"] - 0.02
    assert all(one["any"] >= max(one["oracle"], one["best fixed"]) for one in found)


def test_where_photos_differ_the_oracle_beats_what_is_fixed():
    rng = np.random.default_rng(12)
    chances = np.full((25, 18), 0.1)
    chances[np.arange(25), rng.integers(1, 18, 25)] = 0.9
    found = [simulated(rng, chances, photos=25, seeds=8) for _ in range(4)]
    oracle, fixed = (np.mean([one[line] for one in found]) for line in ("oracle", "best fixed"))
    assert oracle > fixed + 0.3
    assert oracle < 0.95


def test_the_plain_minimum_is_lower_than_what_is_really_left():
    found = lines((0.6, 0.6, 0.6), noise=0.2)
    left = found[ARM, "oracle"].effect.estimate
    assert found[ARM, "any"].plain_minimum < left - 0.03
    assert left == pytest.approx(found[ARM, "best fixed"].effect.estimate, abs=0.06)


def test_one_seed_cannot_choose_and_score():
    usable = {(arm, name): 1.0 for arm in ("original", ARM) for name in ("none", *TRANSFORMS)}
    found = lines((0.5, 0.4, 0.3), points=1, usable=usable)
    assert found[ARM, "oracle"].effect is None
    assert found[ARM, "oracle"].effect_reason == "one seed only: what chooses must not score"
    assert found[ARM, "oracle"].usable_reason == "one seed only: what chooses must not score"
    # Other photos may choose, and trying all of them needs no choice.
    assert found[ARM, "best fixed"].effect.estimate == pytest.approx(0.2)
    assert found[ARM, "any"].usable.estimate == 1.0


def test_an_effect_too_weak_has_no_share():
    def weak(photo, point):
        return 0.1 + 0.1 * (-1) ** photo

    found = lines((0.1, 0.1, 0.1), before=weak)[ARM, "oracle"]
    assert found.share is None
    assert found.share_reason == "too weak for a share"


def test_the_selector_sees_only_the_published_file():
    missing = lines((0.5, 0.4, 0.3))[ARM, "selector"]
    assert missing.effect is None
    assert "published file" in missing.effect_reason
    extra = scores("follow", "published", (0.1, 0.9, 0.8, 0.7)) + scores(
        "keep", "published", (0.0, 0.9, 0.2, 0.1)
    )
    found = lines((0.5, 0.4, 0.3), extra=extra)[ARM, "selector"]
    assert found.effect_chosen == {"flip": 24}
    assert found.effect.estimate == pytest.approx(0.4)
    assert "thresholds of usable are not at hand" in found.chosen_by


@pytest.mark.parametrize("lacking", ["published", "gray"])
def test_what_is_left_is_divided_by_what_the_same_edits_had(lacking):
    """Transforms take nothing of effects of 0.8 on prompt A and 2.8 on B, half of their rooms.

    On B the attacker has no score against the published file, or the gray picture no edit.
    """

    def on(prompt, effect, lacking=""):
        arms = {ARM: 0.1 + effect, PLACEBO: 0.1, "gray": 0.1 + 2 * effect}
        distances = {(arm, name): d for arm, d in arms.items() for name in ("none", *TRANSFORMS)}
        rows = build(distances, points=4, noise=0)
        for metric in ("follow", "keep"):
            rows += scores(metric, "published", (1.0, 1.0, 1.0, 1.0))
        for row in rows:
            failed = {"value": None, "reason": "refused"}
            change = failed if lacking in (row.arm, row.reference) else {}
            yield replace(row, prompt=prompt, **change)

    found = by_line([*on("A", 0.8), *on("B", 2.8, lacking)])
    both = 1.8 if lacking == "published" else 0.8
    for line, effect in (("selector", 0.8), ("oracle", both), ("best fixed", both)):
        case = found[ARM, line]
        assert case.effect.estimate == pytest.approx(effect)
        assert (case.share.estimate, case.reach.estimate) == pytest.approx((1, 0.5))


def test_the_selector_goes_by_a_score_with_a_setting_as_well():
    extra = scores("follow:clip=some/clip", "published", (0.1, 0.9, 0.8, 0.7)) + scores(
        "keep:clip=some/clip", "published", (0.0, 0.9, 0.2, 0.1)
    )
    assert lines((0.5, 0.4, 0.3), extra=extra)[ARM, "selector"].effect_chosen == {"flip": 24}


def test_without_thresholds_the_lower_rank_of_both_scores_decides():
    extra = scores("follow", "published", (0.0, 0.9, 0.8, 0.1)) + scores(
        "keep", "published", (0.0, 0.1, 0.8, 0.9)
    )
    found = lines((0.5, 0.4, 0.3), extra=extra)[ARM, "selector"]
    assert found.effect_chosen == {"jpeg:quality=75": 24}


def test_with_thresholds_the_lower_margin_decides():
    """Ranks would take JPEG 75, the middle of both; but only the flip passes both thresholds."""
    wobble = [0.01 * (-1) ** seed for seed in range(4)]

    def wobbling(metric, values):
        found = []
        for reference in ("photo", "published"):
            for i, row in enumerate(scores(metric, reference, values)):
                found.append(replace(row, value=row.value + wobble[i // 4 % 4]))
        return found

    extra = wobbling("follow", (0.2, 0.55, 0.8, 0.9)) + wobbling("keep", (0.9, 0.55, 0.45, 0.3))
    usable = {("original", name): 1.0 for name in ("none", *TRANSFORMS)}
    usable |= {(ARM, name): float(name == "flip") for name in ("none", *TRANSFORMS)}
    least = {f"p{photo:02}": {PROMPT: (0.5, 0.5)} for photo in range(12)}
    evidence = Evidence(usable_from=UsableFrom(follow="follow", keep="keep", least=least))
    found = lines((0.5, 0.4, 0.3), extra=extra, usable=usable, evidence=evidence)
    for line in ("oracle", "selector", "best fixed"):
        assert set(found[ARM, line].usable_chosen) == {"flip"}
        assert found[ARM, line].usable.estimate == 1.0
        assert "above the thresholds" in found[ARM, line].chosen_by


def test_the_same_search_runs_on_original_and_placebo():
    arms = ("original", PLACEBO, ARM)
    usable = {(arm, name): 0.0 for arm in arms for name in TRANSFORMS}
    usable |= {(arm, "none"): 1.0 for arm in arms}
    found = lines((0.5, 0.4, 0.3), usable=usable)
    for arm in arms:
        for line in ("any", "oracle", "best fixed"):
            assert found[arm, line].usable.estimate == 1.0
        assert found[arm, "oracle"].usable_chosen == {"none": 24}
    assert found["original", "oracle"].effect is None

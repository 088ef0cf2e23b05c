"""What a person reads of protections that are perfect, undone by JPEG, or nothing."""

import pytest

from brittle.analysis.randomization_test import placebo_tests
from brittle.auditing import answers as words
from brittle.auditing.comparisons import comparisons as compared
from brittle.auditing.document import UsableCounts
from brittle.auditing.reduction import TracedTransform
from brittle.auditing.work import Distances
from brittle.record.arms import NOISES
from brittle.transforms import Transform

NAMES = ("none", "jpeg:quality=75", "flip")


def comparisons(seen, *shifts, trace=1.0, transplants=(), gray=10):
    """Distances of the protected file; noise lies at 1 to 1.9, a gray picture at 10 if not said.

    ``trace``: of JPEG 75.
    """
    noise = {kind: tuple(1 + draw / 20 for draw in range(19)) for kind in NOISES}
    found = [
        Distances(
            TracedTransform(Transform.parse(name), trace if name == NAMES[1] else 1.0),
            *(seen, "latent" if seen == "latents" else "perceptual", shift, noise, gray, 19),
            transplants=transplants if name == "none" else (),
        )
        for name, shift in zip(NAMES, shifts, strict=True)
    ]
    return [*compared(found)]


def answer(seen, *shifts):
    return " ".join(words.photo_answer(comparisons(seen, *shifts), "On the embedded model"))


def test_a_perfect_protection():
    said = answer("edits", 10, 10, 10)
    assert "acts more strongly than all 57 random perturbations of its size" in said
    assert "by 100 % of what a gray picture does" in said
    assert "JPEG 75 leaves 100 % of the effect and flip 100 %." in said
    assert [one.reach for one in comparisons("edits", 10, 10, 10)] == pytest.approx([1, 1, 1])


def test_a_protection_that_jpeg_undoes():
    said = answer("edits", 5, 1.5, 5)
    assert said.startswith(
        "On the embedded model, the protection acts more strongly than all 57 random "
        "perturbations of its size, by 42 % of what a gray picture does; flip leaves 100 % of the "
        "effect; JPEG 75 leaves nothing that can be told from noise."
    )
    found = comparisons("edits", 5, 1.5, 5)
    assert found[0].left is None
    assert found[1].left == pytest.approx((1.5 - 1.45) / (5 - 1.45))
    assert found[1].test.p == pytest.approx((1 + 9) / 20)
    assert [one.protects for one in found] == [True, False, True]


def test_the_first_line_says_what_a_file_does_and_what_undoes_it():
    assert words.plain(comparisons("edits", 5, 1.5, 5), "embedded") == (
        "On the embedded model, the protection acts; JPEG 75 undoes that.",
    )
    assert words.plain(comparisons("edits", 5, 1.5, 1.5), "embedded") == (
        "On the embedded model, the protection acts; JPEG 75 and flip undo that.",
    )
    assert words.plain(comparisons("latents", 5, 5, 5), "sd1") == (
        "On sd1, the file misleads the image encoder.",
    )
    reduced = comparisons("edits", 5, 1.5, 5, trace=0.4)
    assert words.plain(reduced, "embedded") == ("On the embedded model, the protection acts.",)
    assert words.plain(comparisons("edits", 1.5, 1.5, 1.5), "embedded") == ()


def test_a_file_that_acts_is_no_protection_where_gray_does_no_more_than_noise():
    found = comparisons("edits", 5, 5, 1.5, gray=1.2)
    assert found[0].test.stronger
    assert (found[0].reach, found[0].protects) == (None, False)
    said = "On the embedded model, the file acts"
    assert words.plain(found, "embedded") == (f"{said}; flip undoes that.",)
    assert words.photo_answer(found, "On the embedded model")[0].startswith(f"{said} more strongly")
    counts = UsableCounts(edits=2, original=2, protected=0, placebos=30, placebo_edits=38)
    for protected, how in ((0, f"{said}: 0 of 2"), (2, f"{said}, but 2 of 2")):
        usable = counts.model_copy(update={"protected": protected})
        found[0] = found[0].model_copy(update={"usable": usable})
        assert words.plain(found, "embedded")[0].startswith(how)


def test_a_protection_that_does_nothing():
    said = answer("edits", 1.5, 1.5, 1.5)
    assert "the file does no more than noise of its size: 27 of 57" in said
    assert "No protection can be seen in it." in said
    assert all(one.left is None for one in comparisons("edits", 1.5, 1.5, 1.5))


def test_a_small_effect_is_no_protection_and_no_share_of_it_is_said():
    found = comparisons("edits", 1.95, 1.9, 1.95)
    assert words.photo_answer(found, "On the embedded model")[0] == (
        "On the embedded model, the file moves edits more strongly than all 57 random "
        "perturbations of its size, but only by 6 % of what a gray picture does: below 10 % it is "
        "called no protection."
    )
    assert [one.test.stronger for one in found] == [True, False, False]
    assert not any(one.protects for one in found)
    assert [one.left for one in found] == [None] * 3
    assert found[2].left_reason == "next to nothing without a transform"


def test_a_change_that_acts_elsewhere_too_is_said_to():
    said = words.photo_answer(comparisons("edits", 5, 5, 5, transplants=(4, 4, 4)), "On it")
    assert (
        "Moved and mirrored, the same change does 72 % of that beyond noise: it also acts on "
        "photos that it was not made for."
    ) in said
    alone = comparisons("edits", 5, 5, 5, transplants=(4, 1.5, 4))
    assert alone[0].elsewhere is None
    assert "Moved" not in " ".join(words.photo_answer(alone, "On it"))


def test_a_line_without_enough_draws_says_what_is_left_and_that_it_is_not_settled():
    found = comparisons("edits", 5, 5, 5)
    strong = (9.0, dict.fromkeys(NOISES, (1.0, 1.02, 0.98)))
    _, test = placebo_tests([strong, (2.0, dict.fromkeys(NOISES, (1.0, 1.5, 1.9, 1.7, 1.1)))])
    assert not test.stronger
    found[1] = found[1].model_copy(update={"test": test, "left": 0.18})
    said = words.photo_answer(found, "On the embedded model")[0]
    assert said.endswith(
        "flip leaves 100 % of the effect; JPEG 75 leaves 18 %, with too few random perturbations "
        "(15) to tell it from noise."
    )


def test_nothing_counts_after_transforms_where_there_is_nothing_without():
    found = comparisons("edits", 1.5, 1.5, 5)
    assert not any(one.test.stronger for one in found)
    assert found[2].finding == "not counted: without a transform it is not told from noise"
    assert "No protection can be seen in it." in answer("edits", 1.5, 1.5, 5)


def test_a_quick_look_speaks_of_the_encoder_and_never_of_the_protection_being_gone():
    said = answer("latents", 5, 1.5, 5)
    assert "the file shifts what the image encoder sees more strongly than all 57" in said
    assert "JPEG 75 leaves nothing that can be told from noise" in said
    assert "protection is gone" not in said
    assert "says nothing yet about edits" in said
    assert comparisons("latents", 5, 1.5, 5)[1].finding.startswith("the encoder's shift is gone")
    assert "gone" not in comparisons("latents", 1.5, 1.5, 5)[1].finding


def test_usable_edits_are_counted_beside_those_with_noise_or_say_why_not():
    counts = UsableCounts(edits=2, original=2, protected=0, placebos=30, placebo_edits=38)
    found = [one.model_copy(update={"usable": counts}) for one in comparisons("edits", 5, 5, 5)]
    more = counts.model_copy(update={"protected": 2})
    found[1] = found[1].model_copy(update={"usable": more})
    assert words.plain(found, "embedded") == (
        "On the embedded model, the protection acts: 0 of 2 edits of the protected photo are "
        "usable, and 2 of 2 of the unprotected one.",
        "After JPEG 75, 2 of 2 are usable.",
    )
    assert words.photo_answer(found, "On the embedded model")[1] == (
        "An edit is usable if it follows the prompt and keeps the subject: with noise of the "
        "protection's size 30 of 38 are."
    )
    found[0] = found[0].model_copy(update={"usable": more})
    assert words.plain(found, "embedded") == (
        "On the embedded model, the protection acts, but 2 of 2 edits of the protected photo are "
        "usable, and 2 of 2 of the unprotected one.",
    )
    nothing = [
        one.model_copy(update={"usable": counts}) for one in comparisons("edits", 1.5, 1.5, 5)
    ]
    assert (
        "2 of 2 of the unprotected photo, 30 of 38 with noise of the protection's size and 0 of 2 "
        "of the protected one."
    ) in " ".join(words.photo_answer(nothing, "On the embedded model"))
    unjudged = [
        one.model_copy(update={"usable_reason": "not calibrated"})
        for one in comparisons("edits", 5, 5, 5)
    ]
    said = " ".join(words.photo_answer(unjudged, "On the embedded model"))
    assert said.endswith("Usable edits are not judged: not calibrated.")

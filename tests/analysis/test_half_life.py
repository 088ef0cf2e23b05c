import numpy as np
import pytest

from brittle.analysis import Evidence
from brittle.analysis.half_life import ladders, walk, window
from brittle.declaration.primary import Primary
from tests.analysis.trials import ARM, PLACEBO, build, summary_of

QUALITIES = (95, 85, 75, 65, 50, 30)


def life(
    left,
    *,
    name="jpeg:quality={}",
    strengths=QUALITIES,
    before=0.5,
    noise=0.01,
    bits=None,
    **options,
):
    distances = {(ARM, "none"): 0.1 + before, (PLACEBO, "none"): 0.1, ("gray", "none"): 1.0}
    for strength, share in zip(strengths, left, strict=True):
        transform = name.format(strength)
        distances[ARM, transform] = share if callable(share) else 0.1 + before * share
        distances[PLACEBO, transform] = 0.1
        distances["gray", transform] = 1.0
    primary = Primary(transforms=(name.format(strengths[0]),))
    evidence = Evidence(bits_a_pixel=bits or {})
    rows = build(distances, noise=noise, **options)
    summary = summary_of(rows, primary=primary, evidence=evidence)
    return summary.half_lives[0] if summary.half_lives else None


def test_it_lies_between_the_last_that_keeps_more_and_the_last_that_keeps_less():
    found = life((0.95, 0.8, 0.7, 0.3, 0.1, 0.0))
    assert (found.high, found.low, found.single) == (75, 65, True)
    assert found.parameter == "JPEG quality"
    assert found.sentence == (
        "Over JPEG quality, half of the effect is gone somewhere between 75 and 65."
    )
    assert [test.finding for test in found.tests] == ["more than half"] * 3 + ["less than half"] * 3


def test_what_is_not_settled_in_the_middle_widens_it():
    found = life((0.95, 0.8, 0.5, 0.5, 0.1, 0.0), noise=0.05)
    assert (found.high, found.low) == (85, 50)


def test_strengths_where_small_is_mild_are_walked_from_the_small_end():
    name, strengths = "gaussian-blur:sigma={}", (0.5, 1.0, 2.0, 4.0)
    found = life((0.9, 0.8, 0.2, 0.1), name=name, strengths=strengths)
    assert (found.high, found.low) == (1.0, 2.0)
    assert found.parameter == "Gaussian blur sigma"


@pytest.mark.parametrize(
    ("left", "words"),
    [
        ((0.9,) * 6, "more than half is left at everything tried, as far as 30"),
        ((0.1,) * 6, "less than half is left at everything tried, even at 95"),
    ],
)
def test_ends_of_the_ladder_have_their_own_words(left, words):
    assert words in life(left).sentence


def test_a_window_has_no_single_half_life():
    found = life((0.95, 0.6, 0.1, 0.1, 0.9, 0.95))
    assert not found.single
    assert (found.low, found.high) == (None, None)
    assert found.window == (75, 65)
    assert found.sentence == (
        "No single half-life over JPEG quality: less than half is left from 75 to 65, and more "
        "than half again beyond it."
    )


def test_a_window_takes_more_than_one_test_in_forty_gives_by_chance():
    # Mean over standard error of what exceeds a half: 2.7, enough for one test of 12 photos (2.2)
    # and too little where six strengths were looked at (3.2).
    def last(photo, point):
        return 0.1 + 0.25 + 0.02 * (1 + 1.228 * (-1) ** photo)

    found = life((0.95, 0.8, 0.7, 0.1, 0.1, last), noise=0)
    assert found.tests[-1].finding == "more than half"
    assert found.single
    assert found.high == 75


def test_without_an_effect_there_is_no_half_life():
    found = life((0.9,) * 6, before=0.0)
    assert (found.low, found.high, found.single) == (None, None, True)
    assert found.sentence.startswith("No half-life over JPEG quality")


def test_seven_photos_have_none():
    assert life((0.9,) * 6, photos=8) is not None
    assert life((0.9,) * 6, photos=7) is None


def test_ladders_change_one_parameter_and_have_three_rungs():
    transforms = [
        "none", "flip", "median-blur:size=3", "median-blur:size=5",
        *(f"jpeg:quality={q}" for q in (65, 95, 75)),
        *(f"jpeg:quality={q},subsampling=4:4:4" for q in (30, 95, 75)),
        "jpeg:quality=65+flip",
    ]  # fmt: skip
    found = ladders(transforms)
    assert set(found) == {("jpeg", "quality"), ("jpeg:subsampling=4:4:4", "quality")}
    assert [strength for strength, _ in found["jpeg", "quality"]] == [95, 75, 65]


def test_walks_stop_at_the_first_test_that_fails():
    low = np.array([0.1, 0.1, -0.1, 0.1, -0.5])
    high = np.array([0.3, 0.3, 0.1, 0.3, -0.1])
    assert [int(count) for count in walk(low, high)] == [2, 1]
    assert window(low, high) is None
    falls_twice = np.array([-2, 1, -2, 1.0]), np.array([-1, 2, -1, 2.0])
    assert window(*falls_twice) == (0, 0)
    assert window(np.array([1, -2, -2, -1, 1.0]), np.array([2, -1, -1, 1, 2.0])) == (1, 2)


def test_the_codec_is_named_beside_it():
    distances = {}
    for transform in ("none", *(f"jpeg:quality={q}" for q in QUALITIES)):
        distances |= {(ARM, transform): 0.5, (PLACEBO, transform): 0.1, ("gray", transform): 1.0}
    evidence = Evidence(codecs={"jpeg": {"encoder": "libjpeg-turbo", "subsampling": "4:2:0"}})
    primary = Primary(transforms=("jpeg:quality=75",))
    (found,) = summary_of(build(distances), primary=primary, evidence=evidence).half_lives
    assert found.details == {"encoder": "libjpeg-turbo", "subsampling": "4:2:0"}


def test_bits_a_pixel_stand_at_the_ends_of_what_was_found():
    bits = {f"jpeg:quality={q}": q / 50 for q in QUALITIES}
    found = life((0.95, 0.75, 0.7, 0.25, 0.1, 0.0), bits=bits)
    assert (found.high, found.low) == (75, 65)
    assert found.details == {"bits a pixel": "1.50 at 75, 1.30 at 65"}


@pytest.mark.parametrize(
    ("texts", "mildest"),
    [
        (["jpeg:quality=50", "jpeg:quality=95", "jpeg:quality=75"], "jpeg:quality=95"),
        (["resize:factor=0.3", "resize:factor=0.9", "resize:factor=0.5"], "resize:factor=0.9"),
        ([f"resize:long_side={side}" for side in (300, 900, 600)], "resize:long_side=900"),
        (["levels:count=8", "levels:count=64", "levels:count=16"], "levels:count=64"),
        ([f"gaussian-blur:sigma={sigma}" for sigma in (2, 0.5, 1)], "gaussian-blur:sigma=0.5"),
        (["autoencode:times=4", "autoencode:times=2", "autoencode"], "autoencode"),  # times=1
        (["gridpure:gamma=0.3", "gridpure", "gridpure:gamma=0.5"], "gridpure:gamma=0.5"),
        ([f"rotate:degrees={degrees}" for degrees in (-9, -1, -3)], "rotate:degrees=-1"),
        (["jpeg2000:ratio=40", "jpeg2000:ratio=5", "jpeg2000:ratio=20"], "jpeg2000:ratio=5"),
    ],
)
def test_every_ladder_begins_at_its_mild_end(texts, mildest):
    (rungs,) = ladders(texts).values()
    assert rungs[0][1] == mildest


def test_both_directions_are_no_ladder():
    assert ladders([f"rotate:degrees={degrees}" for degrees in (-10, -5, 5, 10)]) == {}


@pytest.mark.parametrize("text", ["gamma:exponent", "brightness:factor", "contrast:factor"])
def test_what_acts_on_both_sides_of_a_middle_value_is_no_ladder(text):
    assert ladders([f"{text}={value}" for value in (0.6, 0.8, 1.2, 1.5)]) == {}

import pytest

from brittle.analysis import Interval, Scope
from brittle.analysis.phrases import (
    all_or_some,
    opening,
    scope_statement,
    split_transform,
    transform_name,
    with_bounds,
)
from brittle.errors import UserError
from brittle.transforms import Transform


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("none", "no transform"),
        (str(Transform.parse("adverse-cleaner")), "AdverseCleaner"),
        ("noisy-upscaling:upscaler=realesr-animevideov3", "noisy upscaling realesr-animevideov3"),
        (str(Transform.parse("nl-means:h=8/255")), "nl-means 8/255"),
        ('guided:radius=4,first="flip,x"', 'guided radius 4, first "flip,x"'),
        ("jpeg:quality=75", "JPEG 75"),
        ("jpeg:quality=75,subsampling=4:4:4", "JPEG 75 (subsampling 4:4:4)"),
        ("gaussian-blur:sigma=1.5", "Gaussian blur 1.5"),
        ("rotate:degrees=90", "rotation by 90°"),
        ("flip", "flip"),
        ("jpeg:quality=75+flip", "JPEG 75 + flip"),
        ("mine:a=1,b=[2,3]", "mine a 1, b [2,3]"),
    ],
)
def test_transforms_are_named_as_a_person_would(text, words):
    assert transform_name(text) == words


def test_what_is_no_transform_is_refused():
    with pytest.raises(UserError, match="expected name:key=value"):
        split_transform("jpeg:75")


def test_numbers_come_with_their_bounds_or_with_the_reason():
    interval = Interval(estimate=0.43, low=0.301, high=0.57, method="t", n=12)
    assert with_bounds(interval) == "0.43 [0.30, 0.57]"
    assert with_bounds(interval, as_percent=True) == "43 % [30, 57]"
    unbounded = Interval(estimate=-0.001, method="fieller", n=12, note="no bound")
    assert with_bounds(unbounded) == "0.00 (no bound)"
    assert with_bounds(None) == "not known"
    assert with_bounds(Interval(estimate=-0.2, low=-0.3, high=-0.1, method="t", n=9)) == (
        "−0.20 [−0.30, −0.10]"
    )


def test_the_scope_says_what_the_intervals_cover():
    assert scope_statement(Scope(model="embedded", resolution=128)) == (
        "On the embedded model (128 px; the intervals cover photos, not models)"
    )
    assert scope_statement(Scope(model="my-sd")) == (
        "On my-sd (the intervals cover photos, not models)"
    )


def test_few_photos_are_counted():
    assert all_or_some(4, 4) == "all 4 of 4 photos"
    assert all_or_some(0, 4) == "0 of 4 photos"
    assert all_or_some(1, 1) == "all 1 of 1 photo"


def test_a_stand_in_is_called_one_wherever_an_answer_starts():
    said = opening("sd1", 512, "about this photo")
    assert said.startswith("On sd1 (a distilled stand-in for the encoder of Stable Diffusion 1.x")
    assert said.endswith("; 512 px; about this photo)")
    assert opening("embedded", 256, "x") == "On the embedded model (256 px; x)"

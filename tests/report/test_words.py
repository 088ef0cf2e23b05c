"""How numbers and names are written."""

import pytest

from brittle.inference.summary import Interval
from brittle.report import words


@pytest.mark.parametrize(
    ("value", "text"), [(0.434, "0.43"), (-0.3, "−0.30"), (-0.001, "0.00"), (1.5, "1.50")]
)
def test_number(value: float, text: str) -> None:
    assert words.number(value) == text


def test_interval_without_bound_says_why() -> None:
    unbounded = Interval(estimate=1, method="fieller", n=9, note="no bound")
    assert words.bounds(unbounded) == "[no bound]"
    bounded = Interval(estimate=0.5, low=-0.02, high=0.9, method="t", n=9)
    assert words.bounds(bounded) == "[−0.02, 0.90]"
    assert words.bounds(bounded, per_hundred=True) == "[−2, 90]"


@pytest.mark.parametrize(
    ("label", "name", "short"),
    [
        ("none", "no transform", "no transform"),
        ("jpeg:quality=75", "JPEG 75", "q75"),
        ("gaussian-blur:sigma=0.5", "Gaussian blur, σ 0.5", "blur 0.5"),
        ("median-blur:size=3", "median filter, 3 × 3", "median 3 × 3"),
        ("rotate:degrees=5", "rotation by 5°", "rot 5°"),
        ("flip", "horizontal flip", "flip"),
        ("unheard-of:a=1", "unheard-of:a=1", "unheard-of:a=1"),
    ],
)
def test_transforms_have_names(label: str, name: str, short: str) -> None:
    from tests.report.synthetic import record

    assert words.transform_name(record(label), label) == name
    assert words.short_name(record(label), label) == short


def test_chain_names_its_steps() -> None:
    from tests.report.synthetic import record

    chain = {"name": "chain", "fields": {"steps": [record("jpeg:quality=75"), record("flip")]}}
    assert words.transform_name(chain, "x") == "JPEG 75, then horizontal flip"


def test_counts() -> None:
    assert words.count(1, "photo") == "1 photo"
    assert words.count(1200, "photo") == "1,200 photos"
    assert words.of_photos(4, 4) == "all 4 of 4 photos"
    assert words.of_photos(3, 4) == "3 of 4 photos"


def test_record_is_spelt_out() -> None:
    chain = {"name": "chain", "fields": {"steps": [{"name": "flip", "fields": {}}]}}
    assert words.component_text(chain) == "chain(steps = [flip()])"

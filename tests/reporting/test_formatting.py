"""How numbers and names are written."""

import pytest

from brittle.analysis.summary import Interval
from brittle.reporting import formatting as words


def test_interval_without_bound_says_why() -> None:
    unbounded = Interval(estimate=1, method="fieller", n=9, note="no bound")
    assert words.bounds(unbounded) == "[no bound]"
    bounded = Interval(estimate=0.5, low=-0.02, high=0.9, method="t", n=9)
    assert words.bounds(bounded) == "[−0.02, 0.90]"
    assert words.bounds(bounded, per_hundred=True) == "[−2, 90]"


@pytest.mark.parametrize(
    ("label", "short"),
    [
        ("jpeg:quality=75", "q75"),
        ("gaussian-blur:sigma=0.5", "blur 0.5"),
        ("median-blur:size=3", "median 3"),
        ("rotate:degrees=5", "rot 5°"),
        ("jpeg:quality=75+jpeg:quality=30+flip", "q75 + q30 + flip"),
        ("unheard-of:a=123456789", "unheard-of 1234…"),
    ],
)
def test_short_names(label: str, short: str) -> None:
    assert words.short_name(label) == short


def test_arms_have_names() -> None:
    assert words.arm_name("original", "original") == "unprotected"
    assert words.arm_name("noise(x)", "placebo") == "plain noise"
    assert words.arm_name("gray", "ceiling") == "gray picture"
    assert words.arm_name("photoguard-encoder", "protection") == "photoguard-encoder"


def test_ranges() -> None:
    assert words.spread({"a": 0.2, "b": -0.1}) == "−0.10 to 0.20"
    assert words.spread({"a": 0.2, "b": 0.2}) == "all at 0.20"


def test_record_is_spelt_out() -> None:
    chain = {"name": "chain", "fields": {"steps": [{"name": "flip", "fields": {}}]}}
    assert words.component_text(chain) == "chain(steps = [flip()])"

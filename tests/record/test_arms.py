import pytest

from brittle.record.arms import Arm, placebo_label


@pytest.mark.parametrize(
    ("label", "kind", "of", "draw"),
    [
        ("original", "original", "", 0),
        ("gray", "ceiling", "", 0),
        ("base model", "ceiling", "", 0),
        ("encoder:budget=8/255", "protection", "", 0),
        ("noise", "protection", "", 0),
        (placebo_label("noise", "encoder:budget=8/255"), "placebo", "encoder:budget=8/255", 0),
        (placebo_label("noise-spectrum", "encoder", 3), "placebo", "encoder", 3),
    ],
)
def test_a_label_tells_what_an_arm_is(label, kind, of, draw):
    arm = Arm.named(label)
    assert (arm.kind, arm.of, arm.draw) == (kind, of, draw)
    assert (arm.noise is None) == (kind != "placebo")


@pytest.mark.parametrize(
    ("label", "name", "budget"),
    [
        ("encoder", "encoder", ""),
        ("encoder:budget=8/255", "encoder", "8/255"),
        ("encoder:steps=2,budget=linf:8/255", "encoder:steps=2", "linf:8/255"),
        ("encoder:budget=8/255,steps=2", "encoder:steps=2", "8/255"),
    ],
)
def test_a_budget_is_told_from_the_rest(label, name, budget):
    assert Arm.named(label).split_budget() == (name, budget)

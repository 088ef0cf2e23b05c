"""Arms and their labels: one way there, one way back, whatever stands in a label."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brittle.record.arms import BASE_MODEL, PLACEBO_KINDS, Arm, placebo_label
from brittle.record.manifest import Manifest


@pytest.mark.parametrize(
    ("label", "kind", "of", "draw"),
    [
        ("original", "original", "", 0),
        ("gray", "ceiling", "", 0),
        ("base model", "ceiling", "", 0),
        ("encoder:budget=8/255", "protection", "", 0),
        ("noise", "protection", "", 0),
        ("noise(a)b", "protection", "", 0),
        ("noise-grain(a)", "protection", "", 0),
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


@given(st.sampled_from(PLACEBO_KINDS), st.text(min_size=1), st.integers(0, 999))
def test_a_placebos_label_says_what_it_is(noise, of, draw):
    arm = Arm.named(placebo_label(noise, of, draw))
    assert (arm.kind, arm.noise, arm.of, arm.draw) == ("placebo", noise, of, draw)


def test_arms_of_former_folders_are_read_as_they_are_called_now():
    arms = Manifest._what_labels_say(
        [
            {"label": "untaught", "kind": "ceiling"},
            {"label": "noise(x)", "kind": "placebo", "record": {"name": "noise"}, "source": ""},
        ]
    )
    first, second = (Arm.model_validate(one) for one in arms)
    assert first == Arm.named(BASE_MODEL)
    assert (second.of, second.noise, second.record) == ("x", "noise", {"name": "noise"})

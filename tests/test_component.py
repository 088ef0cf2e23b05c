import importlib.metadata
import json
from typing import Annotated, ClassVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from brittle import component
from brittle.budgets import Budget, LinfBudget, read_budget
from brittle.component import Component, Fraction, Preset, Registry, key, registry
from brittle.errors import UserError
from brittle.protections import Protection
from brittle.transforms import Chain, GaussianBlur, Jpeg, MedianBlur, Rotate, Transform


class Toy(Component):
    family: ClassVar[str] = "toy"


class Plain(Toy):
    name: ClassVar[str] = "plain"

    level: Annotated[Fraction, Field(ge=0)] = 0.5
    count: int = 1
    label: str | None = None
    flag: bool = False


class Twin(Toy):
    name: ClassVar[str] = "twin"

    level: Fraction = 0.5
    count: int = 1
    label: str | None = None
    flag: bool = False


class Box(Toy):
    name: ClassVar[str] = "box"

    inner: Toy = Plain()
    more: tuple[Toy, ...] = ()
    levels: tuple[float, ...] = ()
    budget: Budget = LinfBudget(radius=0.1)


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    """A family of its own, so that these tests leave the real ones alone."""
    known = Registry("toy")
    for toy in (Plain, Twin, Box):
        known.register(toy)
    fields = {"level": "200/255", "count": 3}
    known.add_preset("loud", Preset("plain", fields, source="a paper"))
    monkeypatch.setitem(component._registries, "toy", known)
    monkeypatch.setattr(component, "_loaded", component._loaded | {"toy"})
    return known


# Keys.


def test_keys_tell_apart_what_differs_only_inside():
    keys = [
        key(Box(inner=Plain(level=0.5))),
        key(Box(inner=Plain(level=0.25))),
        key(Box(inner=Twin(level=0.5))),
        key(Box(more=(Plain(),))),
        key(Box(more=(Twin(),))),
        key(Box(more=(Plain(), Plain()))),
        key(Box(inner=Box(inner=Plain()))),
        key(Box(budget=LinfBudget(radius=0.2))),
        key(Plain()),
        key(Twin()),
        key(Plain(), Plain()),
        key([Plain(), Plain()]),
    ]
    assert len(set(keys)) == len(keys)


def test_transforms_that_differ_only_in_a_nested_field_class_or_version(monkeypatch):
    blur = GaussianBlur(sigma=3)
    chains = [Chain(steps=(blur, Jpeg(quality=quality))) for quality in (50, 95)]
    chains.append(Chain(steps=(blur, MedianBlur(size=3))))
    chains.append(Chain(steps=(MedianBlur(size=3), blur)))
    before = [key(chain) for chain in chains]
    monkeypatch.setattr(GaussianBlur, "version", 2)
    assert len({*before, *(key(chain) for chain in chains)}) == 8


def test_keys_are_frozen():
    """A change here orphans everybody's stored results: raise the component's version instead."""
    assert key() == "4f53cda18c2baa0c0354bb5f9a3ecbe5"
    assert key("a", 1, 0.5, None, [True]) == "3832df2fa411fae311bd7642ed051a12"
    assert key(Jpeg(quality=65)) == "adc138f069ef495bb0e26b255ee9bd70"
    assert (
        key(Transform.parse("gaussian-blur:sigma=1+rotate:degrees=5"))
        == "11c4ac29cf600cbcf7de13439f2223f5"
    )
    assert key(Protection.parse("encoder")) == "0b3bb2f6fb0ead532f7567a593b9ef1a"
    assert key(Protection.parse("diffusion:draws=10")) == "f578f3fe05c76aa63a642d315c7e6200"
    assert key(read_budget("8/255")) == "fba50806a1c9a23590808387eaefcc5a"


def test_keys_do_not_depend_on_order_of_mappings_or_kind_of_sequence():
    assert key({"a": 1, "b": 2}) == key({"b": 2, "a": 1})
    assert key((1, 2)) == key([1, 2])
    assert key({"a": 1}) != key({"a": "1"})


# Records.


def test_records_say_everything_and_are_read_back():
    box = Box(inner=Twin(count=7), more=(Plain(level="8/255"), Box()), levels=(0.1, 2))
    record = json.loads(json.dumps(box.record()))
    assert (record["family"], record["name"], record["version"]) == ("toy", "box", 1)
    assert record["fields"]["inner"]["name"] == "twin"
    assert record["fields"]["more"][0]["fields"]["level"] == 8 / 255
    assert record["fields"]["budget"] == {"norm": "linf", "radius": 0.1, "reference": 512}
    again = Toy.from_record(record)
    assert again == box
    assert type(again.inner) is Twin
    assert key(again) == key(box)


def test_a_field_that_came_later_is_recorded_where_it_is_set(monkeypatch):
    before = Plain(level=0.25)
    monkeypatch.setattr(Plain, "later", frozenset({"count", "label"}))
    assert Plain().record()["fields"] == {"level": 0.5, "flag": False}
    assert Plain(count=2).record()["fields"] == {"level": 0.5, "count": 2, "flag": False}
    assert Toy.from_record(Plain(level=0.25).record()) == before
    assert key(Plain()) != key(Plain(count=2))


def test_records_of_another_version_family_or_class_are_refused():
    record = Plain().record()
    with pytest.raises(UserError, match="version 1 here, and the record was written by version 9"):
        Toy.from_record({**record, "version": 9})
    with pytest.raises(UserError, match="recorded as metric, and toy belongs here"):
        Toy.from_record({**record, "family": "metric"})
    with pytest.raises(UserError, match="plain is not a Box"):
        Box.from_record(record)
    for nameless in ({}, {"name": 3}, {"name": None, "count": 1}):
        with pytest.raises(UserError, match="needs a name"):
            Toy.from_record(nameless)


def test_a_nested_component_cannot_be_of_no_class():
    for value in ({}, {"count": 2}, 3, None):
        with pytest.raises(ValidationError):
            Box(inner=value)


def test_components_are_frozen_hashable_and_know_no_other_fields():
    with pytest.raises(ValidationError):
        Plain().count = 2
    with pytest.raises(ValidationError):
        Plain(colour="red")
    assert len({Plain(), Plain(), Plain(count=2), Twin()}) == 3


# Text.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", Plain()),
        (" plain : level = 8/255 ", Plain(level=8 / 255)),
        ("plain:level=8/255,count=2,flag=true", Plain(level=8 / 255, count=2, flag=True)),
        ("plain:label=it's here,count=2", Plain(label="it's here", count=2)),
        ('plain:label="a, b",count=2', Plain(label="a, b", count=2)),
        ("plain:label=yes", Plain(label="yes")),
        ("plain:label=4:2:0", Plain(label="4:2:0")),
        ("plain:label=2026-01-01", Plain(label="2026-01-01")),
        ("plain:label=null", Plain(label=None)),
        ("loud", Plain(level=200 / 255, count=3)),
        ("loud:count=4", Plain(level=200 / 255, count=4)),
        ("box:inner=twin,levels=[1,2.5]", Box(inner=Twin(), levels=(1, 2.5))),
        ("box:more=[twin,plain]", Box(more=(Twin(), Plain()))),
        ("box:inner={name: plain, count: 5}", Box(inner=Plain(count=5))),
        ("box:budget=l2:4@128", Box(budget=read_budget("l2:4@128"))),
    ],
)
def test_text(text, expected):
    assert Toy.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plian", "Unknown toy 'plian': did you mean 'plain'?"),
        ("zzz", "Unknown toy 'zzz': known are box, loud, plain, twin."),
        ("", "Unknown toy ''"),
        ("plain:cuont=3", "plain: Unknown key 'cuont': did you mean 'count'?"),
        ("plain:zzz=3", "plain: Unknown key 'zzz': known are level, count, label, flag."),
        ("plain:count=many", "plain: count: input should be a valid integer"),
        ("plain:level=-1/255", "plain: level: input should be greater than or equal to 0"),
        ("plain:level=1/0", "plain: level: '1/0' divides by zero"),
        ("plain:level=true", "plain: level: true and false are no numbers"),
        ("plain:count", "expected key=value, and found 'count'"),
        ("plain:=3", "expected key=value, and found '=3'"),
        ("plain:count=1,count=2", "sets count twice"),
        ("plain:count=[1", "is not a value"),
        ("box:inner=twim", "box: inner: unknown toy 'twim': did you mean 'twin'?"),
        ("box:inner=plain:count=x", "box: inner: plain: count: input should be a valid integer"),
        ("plain:count=x,flag=3", "count: .*; plain: flag: "),
    ],
)
def test_text_that_is_none_is_answered_in_a_sentence(text, message):
    with pytest.raises(UserError, match=message) as caught:
        Toy.parse(text)
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_the_text_of_a_component_says_only_what_was_changed():
    assert str(Plain()) == "plain"
    assert str(Plain(level=0.25, flag=True)) == "plain:level=0.25,flag=true"
    assert str(Box(more=(Twin(), Plain(count=2)))) == "box:more=[twin,plain:count=2]"
    assert str(Box(budget=read_budget("8/255"))) == "box:budget=linf:8/255"


words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cn", "Zl", "Zp")))
plains = st.builds(
    Plain,
    level=st.floats(0, 1e6),
    count=st.integers(-(10**9), 10**9),
    label=st.none()
    | words
    | st.sampled_from(["null", "1", "1e5", "yes", "-", "a,b", "[a", "a)", "'"]),
    flag=st.booleans(),
)


@example(Plain(label=")", flag=True), [], [])
@given(plains, st.lists(plains, max_size=2), st.lists(st.floats(-1e9, 1e9), max_size=3))
def test_text_is_read_back_exactly(plain, more, levels):
    assert Toy.parse(str(plain)) == plain
    box = Box(inner=plain, more=tuple(more), levels=tuple(levels))
    assert Toy.parse(str(box)) == box


# Fractions.


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("8/255", 8 / 255),
        ("12.75/255", 0.05),
        (" 1 / 4 ", 0.25),
        ("1e-3/2", 5e-4),
        ("0.5", 0.5),
        (2, 2),
    ],
)
def test_fractions(written, value):
    assert Plain(level=written).level == value


@pytest.mark.parametrize("written", ["8/255/2", "a/b", "1/", "/2", "1/0", "1/-2", "1..2/3", True])
def test_what_is_no_fraction(written):
    if written is True:
        assert Plain(level=True).level == 1  # pydantic's way with numbers
    else:
        with pytest.raises(ValidationError):
            Plain(level=written)


# Registries.


def test_a_name_is_taken_once(toys):
    with pytest.raises(ValueError, match="two components of family toy are named 'plain'"):
        toys.register(Plain)
    with pytest.raises(ValueError, match="named 'loud'"):
        toys.add_preset("loud", Preset("plain", {}, source=""))


def test_presets_do_not_share_state(toys):
    toys.resolve("loud")[1]["count"] = 99
    assert Toy.parse("loud").count == 3


def test_brittles_own_families_are_found_by_name():
    assert {"none", "jpeg", "gaussian-blur", "median-blur", "rotate", "flip", "chain"} <= set(
        registry(Transform.family).names()
    )


class Plugin:
    name = "shiny"

    def __init__(self, load):
        self.load = load


def test_plugins_register_themselves(monkeypatch, toys):
    class Shiny(Toy):
        name: ClassVar[str] = "shiny"

    asked = []
    plugins = [Plugin(lambda: toys.register(Shiny))]
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: asked.append(group) or plugins
    )
    monkeypatch.setattr(component, "_loaded", set())
    assert type(Toy.parse("shiny")) is Shiny
    assert asked == ["brittle.components"]


def test_a_broken_plugin_is_named(monkeypatch):
    def fail():
        raise ImportError("no module named x")

    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [Plugin(fail)])
    monkeypatch.setattr(component, "_loaded", set())
    with pytest.raises(UserError, match="plugin shiny can't be loaded"):
        registry("toy")


def test_explanations_name_the_place():
    class Outer(BaseModel):
        box: Box

    with pytest.raises(ValidationError) as caught:
        Outer(box={"name": "box", "budget": {"radius": 8, "size": 3}})
    sentence = component.explain(caught.value, "trial.yaml", Outer)
    assert sentence.startswith("trial.yaml: box: ")
    assert "Unknown key 'budget.size'" in sentence


def test_rotations_by_the_same_angle_are_the_same():
    assert key(Rotate(degrees=90)) == key(Transform.parse("rotate:degrees=90.0"))

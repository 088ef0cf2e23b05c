"""What anyone may write as YAML: plain values, within bounds, read as people mean them."""

import pytest
import yaml

from brittle.safe_yaml import MAX_CHARACTERS, MAX_DEPTH, MAX_VALUES, read_yaml


def test_text_is_read_as_people_mean_it():
    text = (
        "{a: 4:2:0, b: yes, c: 2026-01-01, d: 010, e: 1e-5, f: 0x10, g: on, h: ~, i: true, j: -3}"
    )
    assert read_yaml(text) == {
        "a": "4:2:0",
        "b": "yes",
        "c": "2026-01-01",
        "d": 10.0,
        "e": 1e-5,
        "f": "0x10",
        "g": "on",
        "h": None,
        "i": True,
        "j": -3,
    }


def test_aliases_and_merges_are_read():
    read = read_yaml("base: &b {x: 1, y: 2}\nmore: {<<: *b, y: 3}\nagain: [*b, *b]")
    assert read["more"] == {"x": 1, "y": 3}
    assert read["again"] == [{"x": 1, "y": 2}] * 2


def bomb(levels: int, width: int) -> str:
    """Lists of aliases: width ** levels values."""
    lines = ["a0: &a0 x"]
    for level in range(1, levels + 1):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("!!python/object/apply:os.getcwd []", "marks no plain value"),
        ("!!timestamp x", "marks no plain value"),
        ("!!set {a}", "marks no plain value"),
        ("!!int x", "'x' is no int"),
        ("!!int ''", "'' is no int"),
        ("!!bool maybe", "'maybe' is no bool"),
        ("!!float x", "'x' is no float"),
        ("{a: 1, b: 2, a: 3}", "the key 'a' is there twice"),
        ("9" * 5000, "a number has 5,000 digits"),
        (r'"a\0b"', "which can't be shown"),
        (r'"\ud800"', "which can't be shown"),
        (r'{"\x1b[31m": 1}', "which can't be shown"),
        ("[" * 5000 + "]" * 5000, "nest deeper"),
        ("&a [*a]", "contains itself"),
        ("&a {b: [*a]}", "contains itself"),
        (bomb(9, 10), f"more than {MAX_VALUES:,} values"),
        (bomb(MAX_DEPTH + 1, 1), "nest deeper"),
        (f"[{'x,' * MAX_VALUES}x]", f"more than {MAX_VALUES:,} values"),
        ("#" * (MAX_CHARACTERS + 1), "characters"),
    ],
)
def test_what_no_trial_has_is_refused_before_anything_is_made_of_it(text, problem):
    with pytest.raises(yaml.YAMLError, match=problem):
        read_yaml(text)


def test_the_bounds_themselves_are_read():
    inner = "[" * (MAX_DEPTH - 1) + "x" + "]" * (MAX_DEPTH - 1)
    assert str(read_yaml(inner)).count("[") == MAX_DEPTH - 1
    assert len(read_yaml(f"[{'x,' * (MAX_VALUES - 2)}x]")) == MAX_VALUES - 1
    assert read_yaml("1" * 20) == int("1" * 20)

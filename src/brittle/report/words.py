"""How the report writes numbers and names: one place, so that no number is written in two ways."""

from collections.abc import Mapping
from typing import Any

from brittle.inference.summary import Interval, Summary

MINUS, DASH = "\u2212", "\u2013"
PLACEBOS = {
    "noise": "plain noise",
    "noise-spectrum": "noise with the protection's spectrum",
}


def number(value: float, digits: int = 2) -> str:
    """A decimal with a real minus sign and never a negative zero."""
    text = f"{value:.{digits}f}"
    if not text.strip("-0."):
        text = text.removeprefix("-")
    return text.replace("-", MINUS)


def percent(value: float) -> str:
    """A share as a percentage."""
    return f"{number(100 * value, 0)}\u00a0%"


def hundred(value: float) -> str:
    """A share in counts a hundred."""
    return number(100 * value, 0)


def bounds(interval: Interval, *, per_hundred: bool = False) -> str:
    """The interval in brackets, or the reason why there is none."""
    if interval.low is None or interval.high is None:
        return f"[{interval.note or 'no bound'}]"
    write = hundred if per_hundred else number
    return f"[{write(interval.low)}, {write(interval.high)}]"


def spread(values: Mapping[str, float], *, per_hundred: bool = False) -> str:
    """The range over photos, in words."""
    write = hundred if per_hundred else number
    low, high = write(min(values.values())), write(max(values.values()))
    return f"all at {low}" if low == high else f"{low} to {high}"


def count(items: int, singular: str, plural: str = "") -> str:
    """A count with its noun."""
    return f"{items:,} {singular if items == 1 else plural or singular + 's'}"


def of_photos(above: int, n: int) -> str:
    """How many of the photos: ``all 4 of 4 photos``."""
    return f"{'all ' if above == n else ''}{above} of {count(n, 'photo')}"


def moment(written: Any) -> str:
    """An ISO time, a little easier to read."""
    return str(written).replace("T", " ").replace("+00:00", " UTC")


def transform_name(record: Mapping[str, Any], label: str) -> str:
    """A transform as one would say it; its text form where there is no saying."""
    name, fields = record.get("name"), record.get("fields") or {}
    if label == "none" or name == "none":
        return "no transform"
    if name == "chain" and isinstance(fields.get("steps"), (list, tuple)) and fields["steps"]:
        return ", then ".join(
            transform_name(step, str(step.get("name"))) for step in fields["steps"]
        )
    said = {
        "jpeg": ("quality", "JPEG {}"),
        "gaussian-blur": ("sigma", "Gaussian blur, σ {}"),
        "median-blur": ("size", "median filter, {0} × {0}"),
        "rotate": ("degrees", "rotation by {}°"),
    }
    if name == "flip":
        return "horizontal flip"
    if name in said and isinstance(fields.get(said[name][0]), (int, float)):
        field, form = said[name]
        return form.format(f"{fields[field]:g}")
    return label


def short_name(record: Mapping[str, Any], label: str) -> str:
    """A transform's name for a crowded figure."""
    name = transform_name(record, label)
    for long, short in (
        ("JPEG ", "q"),
        ("Gaussian blur, σ ", "blur "),
        ("median filter, ", "median "),
        ("rotation by ", "rot "),
        ("horizontal flip", "flip"),
    ):
        name = name.replace(long, short)
    return name if len(name) <= 16 else name[:15] + "…"


def arm_name(arm: str, kind: str) -> str:
    """An arm as one would say it."""
    if kind == "original":
        return "unprotected"
    if kind == "ceiling":
        return "gray picture"
    if kind == "placebo":
        return PLACEBOS.get(arm.partition("(")[0], arm)
    return arm


def scoped(summary: Summary, sentence: str) -> str:
    """A sentence that starts with what it is about."""
    statement = summary.scope.statement.strip()
    if not statement or sentence.startswith(statement):
        return sentence
    return f"{statement}: {sentence}"


def component_text(record: Any) -> str:
    """A component's record, every field spelt out, as one line."""
    if isinstance(record, Mapping):
        fields = record.get("fields") or {} if "name" in record else record
        inside = ", ".join(f"{key} = {component_text(value)}" for key, value in fields.items())
        return f"{record['name']}({inside})" if "name" in record else f"({inside})"
    if isinstance(record, (list, tuple)):
        return "[" + ", ".join(component_text(item) for item in record) + "]"
    return f"{record:g}" if isinstance(record, float) else str(record)

"""How the report writes numbers and names: one place, so that no number is written in two ways."""

from collections.abc import Mapping
from typing import Any

from brittle.analysis.phrases import MIN_EDITS, all_or_some, count, transform_name
from brittle.analysis.phrases import decimal as number
from brittle.analysis.summary import Interval, Summary
from brittle.record.arms import GRAY

__all__ = [
    "MIN_EDITS",
    "all_or_some",
    "arm_name",
    "bounds",
    "component_text",
    "count",
    "estimated",
    "hundred",
    "known",
    "moment",
    "mostly",
    "number",
    "percent",
    "scoped",
    "sentence",
    "short_name",
    "spread",
    "transform_name",
]

PLACEBOS = {
    "noise": "plain noise",
    "noise-spectrum": "noise with the protection's spectrum",
    "noise-local": "noise with the protection's spectrum, strong where the protection is",
    "transplant": "the protection's perturbation, moved and mirrored",
}
SHORT = {
    "JPEG ": "q",
    "Gaussian blur ": "blur ",
    "median blur ": "median ",
    "rotation by ": "rot ",
}


def percent(value: float) -> str:
    """A share as a percentage."""
    return f"{hundred(value)}\u00a0%"


def hundred(value: float) -> str:
    """A share in counts a hundred."""
    return number(100 * value, 0)


def bounds(interval: Interval, *, per_hundred: bool = False, digits: int = 2) -> str:
    """The interval in brackets, or the reason why there is none."""
    if interval.low is None or interval.high is None:
        return f"[{interval.note or 'no bound'}]"
    low, high = (
        hundred(bound) if per_hundred else number(bound, digits)
        for bound in (interval.low, interval.high)
    )
    return f"[{low}, {high}]"


def estimated(interval: Interval | None, *, per_hundred: bool = False, digits: int = 2) -> str:
    """An estimate with its interval; a dash where there is none."""
    if interval is None:
        return "–"
    estimate = hundred(interval.estimate) if per_hundred else number(interval.estimate, digits)
    return f"{estimate} {bounds(interval, per_hundred=per_hundred, digits=digits)}"


def known(value: float | None, *, per_hundred: bool = False) -> str:
    """A number, or a dash where there is none."""
    if value is None:
        return "–"
    return hundred(value) if per_hundred else number(value, 3)


def spread(values: Mapping[str, float]) -> str:
    """The range over photos, in words."""
    low, high = number(min(values.values())), number(max(values.values()))
    return f"all at {low}" if low == high else f"{low} to {high}"


def moment(written: Any) -> str:
    """An ISO time, a little easier to read."""
    return str(written).replace("T", " ").replace("+00:00", " UTC")


def mostly(chosen: Mapping[str, int]) -> str:
    """The transform that was chosen most often, and how often; empty where nothing chose."""
    if not chosen:
        return ""
    label = max(chosen, key=lambda one: chosen[one])
    return f"{transform_name(label)} in {chosen[label]} of {sum(chosen.values())} choices"


def short_name(label: str) -> str:
    """A transform's name for a crowded figure."""
    name = transform_name(label)
    for long, short in SHORT.items():
        name = name.replace(long, short)
    return name if len(name) <= 16 else name[:15] + "…"


def arm_name(arm: str, kind: str) -> str:
    """An arm as one would say it."""
    if kind == "original":
        return "unprotected"
    if kind == "ceiling":
        return "gray picture" if arm == GRAY else arm
    if kind == "placebo":
        return PLACEBOS.get(arm.partition("(")[0], arm)
    return arm


def scoped(summary: Summary, sentence: str) -> str:
    """A sentence that starts with what it is about."""
    statement = summary.scope.statement.strip()
    if not statement or sentence.startswith(statement):
        return sentence
    return f"{statement}: {sentence}"


def unscoped(summary: Summary, sentence: str) -> str:
    """A sentence without what it is about, where that stands above it already."""
    statement = summary.scope.statement.strip()
    if not statement or not sentence.startswith(statement):
        return sentence
    rest = sentence.removeprefix(statement).lstrip(",: ")
    return rest if rest.startswith(summary.primary.arms) else f"{rest[:1].upper()}{rest[1:]}"


def sentence(words: str) -> str:
    """Words with a capital and a full stop."""
    return f"{words[:1].upper()}{words[1:]}."


def component_text(record: Any) -> str:
    """A component's record, every field spelt out, as one line."""
    if isinstance(record, Mapping):
        fields = record.get("fields") or {} if "name" in record else record
        inside = ", ".join(f"{key} = {component_text(value)}" for key, value in fields.items())
        return f"{record['name']}({inside})" if "name" in record else f"({inside})"
    if isinstance(record, (list, tuple)):
        return "[" + ", ".join(component_text(item) for item in record) + "]"
    return f"{record:g}" if isinstance(record, float) else str(record)

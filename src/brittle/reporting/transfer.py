"""From model to model: how far one protected file reaches on each model of an audit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

from brittle.analysis.phrases import model_name
from brittle.analysis.summary import SMALL, Interval
from brittle.auditing.answers import joined
from brittle.auditing.document import Answer, Audit
from brittle.models.known import known_as
from brittle.reporting.formatting import count, percent

REDUCED_MEANS = (
    " Where it says “reduced first”, the transform was applied to the photo at that model’s size: "
    "don’t compare it with models that saw it at full size."
)


@dataclass(frozen=True)
class Transfer:
    """Reach by latents, transforms down and models across."""

    title: str
    models: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """The transform's name, then a cell for each model."""
    sentence: str
    answer: str
    """On which models the file acts without a transform, and on which it doesn't."""


def transfer(document: Audit) -> Transfer | None:
    """The table of an audit on several models; None where there are fewer, or nothing changed."""
    models = tuple(one.scope.model for one in document.models)
    found = {(one.transform, one.model): one for one in _by_model(document)}
    if len(models) < 2 or not found:
        return None
    names = {one.transform: one.answers[0].name for one in found.values()}
    photos = len(next(iter(found.values())).answers)
    of = "" if photos == 1 else f", over {count(photos, 'photo')}"
    untransformed = next(iter(names))
    return Transfer(
        answer=_answer([found[untransformed, model] for model in models]),
        title=f"From model to model: reach by latents{of}",
        models=models,
        rows=tuple(
            (name, *(_cell(found[transform, model]) for model in models))
            for transform, name in names.items()
        ),
        sentence=(
            "Each cell: how far the encoder’s latents move beyond noise of the protection’s size, "
            "as a share of what a gray picture does; 0 % is like noise. Read along a line: a "
            "protection that was made on one model and does nothing on another has not "
            "transferred. Read down a column for what each transform leaves on that model."
            + (REDUCED_MEANS if any(one.reduced_first for one in found.values()) else "")
        ),
    )


class _OnModel(NamedTuple):
    """One transform on one model."""

    model: str
    answers: tuple[Answer, ...]
    """Those of all photos."""
    pooled: Interval | None
    """Reach over all of them, where there are enough for an interval."""

    @property
    def transform(self) -> str:
        return self.answers[0].transform

    @property
    def stronger(self) -> int:
        """In how many photos the file does more than noise."""
        return sum(one.test.stronger for one in self.answers)

    @property
    def reduced_first(self) -> bool:
        """Whether any photo was reduced to the model's size before the transform."""
        return any(one.reduced_first for one in self.answers)

    @property
    def reach(self) -> str:
        """As a percentage, or nothing where none is known."""
        if self.pooled is not None:
            return percent(self.pooled.estimate)
        known = [one.reach for one in self.answers if one.reach is not None]
        return percent(sum(known) / len(known)) if known else ""


def _by_model(document: Audit) -> Iterator[_OnModel]:
    audited = [photo for photo in document.photos if photo.results]
    for at, model in enumerate(document.models):
        latents = [photo.results[at].seen_as("latents") for photo in audited]
        pooled = [one.reach for one in model.latents] or repeat(None)
        for answers, reach in zip(zip(*latents, strict=True), pooled, strict=False):
            yield _OnModel(model.scope.model, answers, reach)


def _answer(first: Sequence[_OnModel]) -> str:
    """Without a transform, by model: more than noise, next to nothing, or no more than noise."""
    if len(first[0].answers) > 1:
        counts = [
            f"{_called(one.model)} {one.stronger} of {len(one.answers)}, {one.reach or '–'}"
            for one in first
        ]
        return (
            "Files that shift what an encoder sees more than noise does, and how far all of them "
            f"do, of what a gray picture does: {'; '.join(counts)}."
        )
    found: dict[str, list[str]] = {"more than noise does": [], "by next to nothing": []}
    found["no more than noise does"] = []
    for on in first:
        (one,) = on.answers
        small = one.reach is not None and one.reach < SMALL
        much, little, none = found
        how_far = (little if small else much) if one.test.stronger else none
        share = ""
        if one.test.stronger and one.reach is not None:
            share = f"{percent(one.reach)} of what a gray picture does"
        found[how_far].append(_called(on.model, share))
    parts = [
        f"what {joined(names)} {'sees' if len(names) == 1 else 'see'} {how_far}"
        for how_far, names in found.items()
        if names
    ]
    return f"From model to model, the file shifts {'; '.join(parts)}."


def _called(model: str, share: str = "") -> str:
    """A model, with the editor that it stands for and with how far it was moved."""
    known = known_as(model)
    inside = [part for part in (known and f"for {known.stands_for}", share) if part]
    return f"{model_name(model)} ({', '.join(inside)})" if inside else model_name(model)


def _cell(found: _OnModel) -> str:
    if not found.reach:
        return "–"
    if len(found.answers) > 1:
        said = f" ({found.stronger} of {len(found.answers)} beyond noise)"
    else:
        said = "" if found.stronger else " (like noise)"
    if found.reduced_first:
        said += ", reduced first"
    return found.reach + said

"""From model to model: how far one protected file reaches on each model of an audit."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from brittle.analysis.phrases import model_name
from brittle.auditing.answers import SMALL, joined
from brittle.auditing.document import Answer, Audit
from brittle.models.known import known_as
from brittle.reporting.formatting import count, percent


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
    found = {(one.transform, model): answers for one, model, answers in _by_model(document)}
    if len(models) < 2 or not found:
        return None
    names = {one.transform: one.name for one, *_ in _by_model(document)}
    photos = len(next(iter(found.values())))
    of = "" if photos == 1 else f", mean over {count(photos, 'photo')}"
    untransformed = next(iter(names))
    return Transfer(
        answer=_answer({model: found[untransformed, model] for model in models}),
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
        ),
    )


def _by_model(document: Audit) -> Iterator[tuple[Answer, str, tuple[Answer, ...]]]:
    """Each transform on each model: one answer of it, the model, and those of all photos."""
    audited = [photo for photo in document.photos if photo.results]
    for at, model in enumerate(document.models):
        latents = [photo.results[at].seen_as("latents") for photo in audited]
        for answers in zip(*latents, strict=True):
            yield answers[0], model.scope.model, answers


def _answer(first: Mapping[str, tuple[Answer, ...]]) -> str:
    """Without a transform, by model: more than noise, next to nothing, or no more than noise."""
    if len(next(iter(first.values()))) > 1:
        counts = [
            f"{_called(model)} {sum(one.test.stronger for one in answers)} of {len(answers)}, "
            f"{_mean_reach(answers) or '–'}"
            for model, answers in first.items()
        ]
        return (
            "Files that shift what an encoder sees more than noise does, and how far all of them "
            f"do on average, of what a gray picture does: {'; '.join(counts)}."
        )
    found: dict[str, list[str]] = {"more than noise does": [], "by next to nothing": []}
    found["no more than noise does"] = []
    for model, (one,) in first.items():
        small = one.reach is not None and one.reach < SMALL
        much, little, none = found
        how_far = (little if small else much) if one.test.stronger else none
        share = ""
        if one.test.stronger and one.reach is not None:
            share = f"{percent(one.reach)} of what a gray picture does"
        found[how_far].append(_called(model, share))
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


def _mean_reach(answers: tuple[Answer, ...]) -> str:
    """As a percentage, or nothing where no reach is known."""
    known = [one.reach for one in answers if one.reach is not None]
    return percent(sum(known) / len(known)) if known else ""


def _cell(answers: tuple[Answer, ...]) -> str:
    mean = _mean_reach(answers)
    if not mean:
        return "–"
    stronger = sum(one.test.stronger for one in answers)
    if len(answers) > 1:
        said = f" ({stronger} of {len(answers)} beyond noise)"
    else:
        said = "" if stronger else " (like noise)"
    return mean + said

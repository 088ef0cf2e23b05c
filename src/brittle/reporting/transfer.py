"""From model to model: how far one protected file reaches on each model of an audit."""

from collections.abc import Iterator
from dataclasses import dataclass

from brittle.auditing.document import Answer, Audit
from brittle.reporting.formatting import count, percent


@dataclass(frozen=True)
class Transfer:
    """Reach by latents, transforms down and models across."""

    title: str
    models: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """The transform's name, then a cell for each model."""
    sentence: str


def transfer(document: Audit) -> Transfer | None:
    """The table of an audit on several models; None where there are fewer, or nothing changed."""
    models = tuple(one.scope.model for one in document.models)
    found = {(one.transform, model): answers for one, model, answers in _by_model(document)}
    if len(models) < 2 or not found:
        return None
    names = {one.transform: one.name for one, *_ in _by_model(document)}
    photos = len(next(iter(found.values())))
    of = "" if photos == 1 else f", mean over {count(photos, 'photo')}"
    return Transfer(
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


def _cell(answers: tuple[Answer, ...]) -> str:
    known = [one.reach for one in answers if one.reach is not None]
    if not known:
        return "–"
    stronger = sum(one.test.stronger for one in answers)
    if len(answers) > 1:
        said = f" ({stronger} of {len(answers)} beyond noise)"
    else:
        said = "" if stronger else " (like noise)"
    return percent(sum(known) / len(known)) + said

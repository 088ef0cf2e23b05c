"""The audit's answer as text, and as one HTML file with its pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from brittle.analysis.phrases import model_name
from brittle.analysis.summary import MIN_PHOTOS
from brittle.auditing.answers import NOT_SEEN, distortions_sentence, metric_sentence
from brittle.auditing.document import Answer, Audit, ModelResult, PhotoAudit, UsableCounts
from brittle.auditing.run import Audited
from brittle.auditing.setting import QUICK
from brittle.errors import UserError
from brittle.images import fit, names_a_file, to_bytes, write_bytes
from brittle.reporting.formatting import number, percent, transform_name
from brittle.reporting.glossary import Page, Term, glossary
from brittle.reporting.page import check_page, render_page
from brittle.reporting.pictures import PAGE_LIMIT, Picture, embed, perturbation
from brittle.reporting.terminal import as_columns
from brittle.reporting.transfer import transfer

REPORT, DATA = "audit.html", "audit.json"
SHOWN_SIDE = 512  # of originals and protected files in the page, in pixels


@dataclass(frozen=True)
class AnswerLine:
    """One transform in a photo's table."""

    name: str
    finding: str
    stronger: bool
    cells: tuple[str, ...]
    settled: bool = True
    """Whether the finding says yes or no."""


HEADS = ("shift", "noise of its size", "gray picture", "left", "p")
USABLE = "usable edits"


def line(one: Answer) -> AnswerLine:
    """A comparison as a table shows it."""
    drawn = [distance for of in one.placebos.values() for distance in of]
    low, high = number(min(drawn), 3), number(max(drawn), 3)
    cells: tuple[str, ...] = (
        number(one.distance, 3),
        f"{low} to {high}",
        number(one.ceiling, 3),
        "–" if one.rest is None else percent(one.rest),
        number(one.test.p, 4),
    )
    if one.seen == "edits":
        cells += (_usable(one.usable),)
    name = f"{one.name}, reduced first" if one.reduced_first else one.name
    settled = one.test.stronger or one.test.at_least_as_far > 0
    return AnswerLine(name, one.finding, one.test.stronger, cells, settled)


def hidden(one: Answer) -> AnswerLine:
    """A transform of which the model sees nothing at the file's own size."""
    finding = f"{NOT_SEEN}: {percent(one.trace)} of its trace reaches the model"
    dashes = len(HEADS) + (one.seen == "edits")
    return AnswerLine(f"{one.name} at full size", finding, False, ("–",) * dashes, settled=False)


def _usable(counts: UsableCounts | None) -> str:
    if counts is None:
        return "–"
    return (
        f"{counts.protected} of {counts.edits} (unprotected {counts.original}, noise "
        f"{counts.placebos} of {counts.placebo_edits})"
    )


def tables(result: ModelResult) -> Iterator[tuple[str, tuple[str, ...], tuple[AnswerLine, ...]]]:
    """Title, heads and lines: edits first, where there are any, then what the encoder sees."""
    titles = {"edits": "Edits", "latents": "What the image encoder sees"}
    for seen in ("edits", "latents"):
        found = result.seen_as(seen)
        lines = [line(one) for one in found]
        lines += [hidden(one) for one in found if one.reduced_first]
        if lines:
            yield titles[seen], (*HEADS, USABLE) if seen == "edits" else HEADS, tuple(lines)


def audit_text(document: Audit) -> str:
    """The answers, and for few photos the tables behind them."""
    table = transfer(document)
    parts = [table.answer] if table else []
    parts += [sentence for model in document.models for sentence in model.answer]
    if len(document.photos) < MIN_PHOTOS or not document.models:
        parts += [part for photo in document.photos for part in _photo_text(photo, document)]
    else:
        parts += _photos_text(document.photos)
    if table:
        parts += [as_columns([(table.title, *table.models), *table.rows]), table.sentence]
    parts += [
        metric_sentence(model.scope.model, model.metric_reason)
        for model in document.models
        if model.metric_reason
    ]
    parts += [f"Not audited, for lack of a partner: {path}" for path in document.without_partner]
    parts += [f"Not audited: {name}. {why}" for name, why in document.refused.items()]
    parts += [model.left_out for model in document.models if model.left_out]
    if any(model.why_no_edits == QUICK for model in document.models):
        parts.append("Run again without --quick to see edits.")
    return "\n\n".join(parts)


def _photo_text(photo: PhotoAudit, document: Audit) -> Iterator[str]:
    """One photo's answers, notes and tables."""
    name = f"{photo.name}: " if len(document.photos) > 1 else ""
    yield from (f"{name}Check first: {doubt}" for doubt in photo.doubts)
    for result in photo.results:
        parts = result.answer[: result.lead], result.answer[result.lead :]
        yield from (name + " ".join(part) for part in parts if part)
    if not photo.results:
        yield name + " ".join(photo.answer)
    if photo.results:
        yield " ".join(photo.answer)
    yield from (f"Note: {note}" for note in notes(photo))
    for result in photo.results:
        yield seen_at(result, photo)
        for title, heads, lines in tables(result):
            rows = [(one.name, *one.cells, one.finding) for one in lines]
            yield as_columns([(title, *heads, "finding"), *rows])


def _photos_text(photos: Sequence[PhotoAudit]) -> Iterator[str]:
    """Many photos: how far the files differ, and each note once, with its photos."""
    about: dict[str, list[str]] = {}
    for photo in photos:
        said = [f"Check first: {doubt}" for doubt in photo.doubts]
        said += [f"Note: {note}" for note in notes(photo)]
        for text in said + [*photo.answer] * photo.unchanged:
            about.setdefault(text, []).append(photo.name)
    changed = [photo.distortion for photo in photos if photo.distortion and not photo.unchanged]
    if changed:
        yield distortions_sentence(changed)
    yield from (f"{', '.join(names)}: {text}" for text, names in about.items())
    yield "Each photo's own answer and table stand in --json, and in the report that -o writes."


def notes(photo: PhotoAudit) -> list[str]:
    """What a reader should know of the files: flags, and what was done on reading them."""
    files = {"The original": photo.original, "The protected file": photo.protected}
    read: dict[str, list[str]] = {}
    for name, file in files.items():
        if file and file.notes:
            read.setdefault("; ".join(file.notes), []).append(name)
    said = {note: "Both files" if len(names) == 2 else names[0] for note, names in read.items()}
    return [*photo.flags, *(f"{who} on reading: {note}." for note, who in said.items())]


def tails(photo: PhotoAudit) -> list[str]:
    """What stands behind each model's answer: of several, a paragraph a model, which is named.

    What all of them say stands once, at the end.
    """
    behind = [of.answer[max(of.lead, 1) :] for of in photo.results]
    if len(behind) < 2:
        return [sentence for tail in behind for sentence in tail]
    shared = set.intersection(*map(set, behind))
    said = []
    for of, tail in zip(photo.results, behind, strict=True):
        if own := " ".join(one for one in tail if one not in shared):
            said.append(own if of.lead else f"On {model_name(of.model)}: {own}")
    return [*said, *(one for one in behind[0] if one in shared)]


def seen_at(result: ModelResult, photo: PhotoAudit) -> str:
    """At which size the model sees the photo, which decides what of a protection reaches it."""
    size = f"{result.width} × {result.height} px"
    text = f"What {model_name(result.model)} sees of the photo is {size}"
    file = photo.protected
    if result.reduced:
        smaller = result.width * result.height < file.width * file.height
        text += f", {'reduced' if smaller else 'enlarged'} from {file.width} × {file.height}"
        text += ": finer detail doesn't reach it" if smaller else ""
    return f"{text}."


def page_at(out: Path) -> Path:
    """Where the report of ``-o`` lies: in the folder, or the .html file itself.

    Raises:
        UserError: a name for something else.
    """
    if not names_a_file(out):
        check_page(out / REPORT)
        return out / REPORT
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{out} is no .html file: name one, or a folder, with -o.")
    check_page(out)
    return out


def write_audit(found: Audited, out: Path) -> Path:
    """Write the report: ``audit.html`` and ``audit.json`` into a folder, or one .html file.

    Raises:
        UserError: a name for something else, or a full disk.
    """
    page = page_at(out)
    if page != out:
        data = found.document.model_dump_json(indent=1) + "\n"
        write_bytes(out / DATA, data.encode(), overwrite=True)
    write_bytes(page, render_audit(found).encode("utf-8", "replace"), overwrite=True)
    return page


def render_audit(found: Audited, limit: int = PAGE_LIMIT) -> str:
    """The report as text, with at most ``limit`` characters of pictures in it."""
    document = found.document
    files = {photo.name: _files(found, photo) for photo in document.photos}
    edits = {photo.name: _edits(found, photo) for photo in document.photos}
    room = embed(
        [one for row in files.values() for one in row],
        [one for cards in edits.values() for _, row in cards for one in row],
        None,
        limit,
    )
    return render_page(
        "audit.html",
        script="report.js",
        glossary=_glossary(document),
        document=document,
        files=files,
        edits=edits,
        room=room,
        model_name=model_name,
        tables=tables,
        transfer=transfer(document),
        seen_at=seen_at,
        tails=tails,
        metric_sentence=metric_sentence,
    )


def _glossary(document: Audit) -> list[Term]:
    pages: list[Page] = ["audit"]
    if any(result.reduced for photo in document.photos for result in photo.results):
        pages.append("audit of reduced photos")
    summary = next((model.summary for model in document.models if model.summary), None)
    if summary is None:
        return glossary(*pages)
    return glossary(*pages, "audit of many", margins=summary.primary.margins)


def _files(found: Audited, photo: PhotoAudit) -> list[Picture]:
    """The original, the protected file and the difference; nothing without an original."""
    pictures = found.pictures(photo)
    if pictures is None:
        return []
    original, protected = (_small(one) for one in (pictures.original, pictures.protected))
    shown = [
        _picture(original, f"{photo.name}, the original", "original"),
        _picture(protected, f"{photo.name}, the protected file", "protected"),
    ]
    difference = perturbation(shown[0].pixels, shown[1].pixels, "the protection")
    reduced = original.shape != pictures.original.shape
    difference.facts.insert(0, f"their difference{', reduced as shown' if reduced else ''}")
    return [*shown, difference]


def _edits(found: Audited, photo: PhotoAudit) -> list[tuple[str, list[Picture]]]:
    """For each model, transform and prompt the edits of the unprotected and protected photo."""
    cards = []
    for (name, model, transform, prompt), rows in found.edits.items():
        if name != photo.name:
            continue
        after = transform_name(transform)
        title = f"{after}, “{prompt}”"
        if len(found.document.models) > 1:
            title += f", {model}"
        pair = [
            _picture(rows[arm], f"Edit of the {what} photo, {after}, “{prompt}”", what)
            for arm, what in (("original", "unprotected"), ("protected", "protected"))
        ]
        cards.append((title, pair))
    return cards


def _small(image: Tensor) -> Tensor:
    return fit(image, size=SHOWN_SIDE, multiple=1)


def _picture(image: Tensor, alt: str, fact: str) -> Picture:
    pixels = to_bytes(image)[0]
    return Picture(alt, width=pixels.shape[1], height=pixels.shape[0], pixels=pixels, facts=[fact])

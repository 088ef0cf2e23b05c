"""The audit's answers, for people who know no statistics."""

import re
from collections.abc import Sequence

from brittle.analysis.phrases import (
    all_or_some,
    count,
    decimal,
    model_name,
    opening,
    percent,
    transform_name,
    with_bounds,
)
from brittle.analysis.randomization_test import ALPHA, DRAWS, FIRST, PlaceboTest
from brittle.analysis.summary import MIN_PHOTOS, SMALL, Effect, Scope, Summary
from brittle.auditing.document import (
    Answer,
    Distortion,
    ModelResult,
    Seen,
    UsableCounts,
    deciding,
)
from brittle.sources.pairs import PictureFile

NOT_SEEN = "not seen at this size"
UNCHANGED = (
    "Nothing was changed: both files hold the same picture, pixel for pixel. There is no "
    "protection in this file."
)


def finding(test: PlaceboTest, seen: Seen, *, transform: str, at_first: bool) -> str:
    """The table's answer for one transform; ``at_first``: it was stronger without a transform."""
    if test.stronger or seen == "edits" or not test.at_least_as_far:
        return test.words
    if transform != "none" and at_first:
        return f"the encoder's shift is gone: {test.words}"
    return f"no shift of the encoder: {test.words}"


def distortion_sentence(found: Distortion) -> str:
    """How far the file is from the original."""
    similar = "" if found.ssim is None else f", SSIM {decimal(found.ssim, 3)}"
    return (
        f"The protected file differs from the original in {_share(found.changed)} of its pixels, "
        f"by at most {found.largest} of 255 levels and {decimal(found.rms, 1)} on average (RMS); "
        f"PSNR {decimal(found.psnr, 1)} dB{similar}."
    )


def distortions_sentence(found: Sequence[Distortion]) -> str:
    """How far many files are from their originals."""
    psnr = [one.psnr for one in found]
    return (
        f"The protected files differ from their originals by at most "
        f"{max(one.largest for one in found)} of 255 levels; PSNR {decimal(min(psnr), 1)} to "
        f"{decimal(max(psnr), 1)} dB."
    )


def _share(share: float) -> str:
    if 0 < share < 0.01:
        return "less than 1 %"
    return "all" if share == 1 else f"{percent(min(share, 0.99))} %"


def scope_words(model: str, size: str, photos: int) -> str:
    """What every answer starts with; ``size`` is what the model looks at, without its unit."""
    if photos >= MIN_PHOTOS:
        return opening(model, size)
    these = "this photo" if photos == 1 else "these photos"
    return opening(model, size, f"about {these}, not about other models")


def reduction(
    model: str, file: PictureFile, seen_at: str, answers: Sequence[Answer], *, larger: bool
) -> list[str]:
    """What a reader has to know first of a photo that was resampled for the model.

    ``larger``: than the model's size, and not merely between two sizes that it takes.
    """
    subject = re.sub("^the ", "The ", model_name(model))
    text = f"{subject} sees this photo of {file.width} × {file.height} px at {seen_at} px, "
    if larger:
        text += "as an editor of that size does."
    else:
        text += "the next smaller size that it takes."
    hidden = [one.name for one in answers if one.reduced_first]
    if not hidden:
        return [text]
    were = "it was" if len(hidden) == 1 else "these were"
    return [
        f"{text} Reducing the photo hides most of what {grouped(hidden)} would do at full size, so "
        f"{were} applied to the reduced photo, as happens to a copy that is downloaded small."
    ]


def grouped(names: Sequence[str]) -> str:
    """List names, those of one kind together: "JPEG 95 and 85, flip"."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        kind, _, value = name.rpartition(" ")
        kinds.setdefault(kind or name, []).append(value if kind else "")
    listed = [f"{kind} {joined(values)}".strip() for kind, values in kinds.items()]
    return joined(listed) if listed else ""


def left_out(after: Sequence[str], others: int, further: int) -> str:
    """What was left out of an audit with edits, and how to have it.

    ``after``: names of the transforms after which edits were made; ``others``: how many were not;
    ``further``: random perturbations beyond the first of each kind, in all.
    """
    listed = f" and after {grouped(after)}" if after else ""
    text = (
        f"Edits were made of the file as it is{listed}, with {FIRST} random perturbations of "
        f"each kind and more until the answer was plain: at most {DRAWS} of a kind, and {further} "
        "beyond the first in all."
    )
    if others:
        were = "was" if others == 1 else "were"
        text += (
            f" {count(others, 'transform')} more {were} compared by what the image encoder sees "
            "alone."
        )
    return f"{text} --thorough edits after all, with {DRAWS} of each kind."


def metric_sentence(model: str, reason: str) -> str:
    """What edits are compared by where LPIPS can't be had."""
    return (
        f"Edits on {model_name(model)} are compared by brittle's own perceptual distance: LPIPS, "
        f"in which results on Stable Diffusion are usually given, is not there ({reason})."
    )


def photo_answer(comparisons: Sequence[Answer], scope: str) -> tuple[str, ...]:
    """What was found on one photo: edits if they were made, or else what the encoder sees."""
    none, *others = deciding(comparisons)
    edits = none.seen == "edits"
    sentences = _answer(none, others, scope, edits)
    if none.elsewhere is not None:
        sentences.append(
            f"Moved and mirrored, the same change does {percent(none.elsewhere)} % of that beyond "
            "noise: it also acts on photos that it was not made for."
        )
    sentences += _usable(none, others)
    if not edits:
        sentences.append(
            "This looked only at what the model's image encoder sees, and says nothing yet about "
            "edits."
        )
    return tuple(sentences)


def plain(comparisons: Sequence[Answer], model: str) -> tuple[str, ...]:
    """What a file does and what undoes it, in counts of usable edits where they are judged.

    Empty where it does no more than noise or next to nothing, which the answer itself says.
    """
    none, *others = deciding(comparisons)
    if not _acts(none):
        return ()
    on, undone = model_name(model), _undone([one for one in others if not one.reduced_first])
    undoing = f"; {grouped(undone)} {'undoes' if len(undone) == 1 else 'undo'} that"
    after = undoing if undone else ""
    if none.seen != "edits":
        return (f"On {on}, the file misleads the image encoder{after}.",)
    counts, acts = none.usable, f"On {on}, the {_called(none)} acts"
    if counts is None or not counts.original:
        return (f"{acts}{after}.",)
    usable = f"{counts.protected} of {counts.edits} edits of the protected photo"
    unprotected = f"{counts.original} of {counts.edits} of the unprotected one"
    if counts.protected >= counts.original:
        return (f"{acts}, but {usable} are usable, and {unprotected}{after}.",)
    return (
        f"{acts}: {usable} are usable, and {unprotected}{after}.",
        *_again(counts, others),
    )


def _acts(none: Answer) -> bool:
    """Whether a file does more than noise, and not next to nothing."""
    return none.test.stronger and (none.reach is None or none.reach >= SMALL)


def _called(none: Answer) -> str:
    """What the file's change may be called: a protection only by the audit's rule."""
    return "protection" if none.protects else "file"


def _again(counts: UsableCounts, others: Sequence[Answer]) -> tuple[str, ...]:
    """After which transform an attacker has the most usable edits, if more than without one."""
    best = _best(others)
    if best is None or best.usable is None or best.usable.protected <= counts.protected:
        return ()
    first = " of the reduced photo" if best.reduced_first else ""
    return (
        f"After {best.name}{first}, {best.usable.protected} of {best.usable.edits} are usable.",
    )


def _best(others: Sequence[Answer]) -> Answer | None:
    """The line with the most usable edits of the protected file, the first of several."""
    judged = [one for one in others if one.usable]
    return max(judged, key=lambda one: _protected(one.usable), default=None)


def _answer(none: Answer, others: Sequence[Answer], scope: str, edits: bool) -> list[str]:
    """The first sentence: what the file does, and what the usual transforms leave of it."""
    test = none.test
    missing = "No protection can be seen" if edits else "No shift of the encoder can be seen"
    what = "edits" if edits else "what the image encoder sees"
    if not test.stronger:
        if not test.at_least_as_far:
            return [f"{scope}, nothing is settled without a transform: {test.words}."]
        return [
            f"{scope}, the file does {test.words}: {test.at_least_as_far} of {test.placebos} "
            f"random perturbations moved {what} at least as far. {missing} in it."
        ]
    size = "" if none.reach is None else f" by {percent(none.reach)} % of what a gray picture does"
    if none.reach is not None and none.reach < SMALL:
        beaten = test.words.removeprefix("acts ")
        return [
            f"{scope}, the file moves {what} {beaten}, but only{size}: below {percent(SMALL)} % it "
            "is called no protection."
        ]
    acts = test.words if edits else test.words.replace("acts", f"shifts {what}")
    first = f"{scope}, the {_called(none)} {acts}{size and ','}{size}"
    usual = sorted(others, key=lambda one: not one.name.startswith("JPEG"))[:MAX_IN_A_SENTENCE]
    rest = [one for one in others if one not in usual]
    sentences = [f"{first}; {_remains(usual)}." if usual else f"{first}."]
    if rest:
        said = _remains(rest)
        sentences.append(f"{said[0].upper()}{said[1:]}.")
    return sentences


MAX_IN_A_SENTENCE = 4


def _remains(lines: Sequence[Answer]) -> str:
    """What transforms leave, as clauses: of the file, and then of the reduced photo."""
    clauses = _clauses([one for one in lines if not one.reduced_first])
    if of_reduced := _clauses([one for one in lines if one.reduced_first]):
        clauses.append(f"on the reduced photo, {'; '.join(of_reduced)}")
    return "; ".join(clauses)


def _clauses(lines: Sequence[Answer]) -> list[str]:
    clauses = []
    if strong := [one for one in lines if one.test.stronger]:
        what = "the effect" if strong[0].seen == "edits" else "the shift"
        left = [(one.name, percent(one.rest or 0)) for one in strong]
        first, *more = left
        parts = [f"{first[0]} leaves {first[1]} % of {what}", *(f"{a} {b} %" for a, b in more)]
        clauses.append(joined(parts))
    if gone := _undone(lines):
        verb = "leaves" if len(gone) == 1 else "leave"
        clauses.append(f"{grouped(gone)} {verb} nothing that can be told from noise")
    clauses += [
        f"{one.name} leaves {percent(one.rest or 0)} %, {one.test.words}"
        for one in lines
        if not one.test.stronger and not one.test.at_least_as_far
    ]
    return clauses


def _undone(lines: Sequence[Answer]) -> list[str]:
    """Names of the transforms after which nothing can be told from noise."""
    return [one.name for one in lines if not one.test.stronger and one.test.at_least_as_far]


def _usable(none: Answer, others: Sequence[Answer]) -> list[str]:
    """Counts of usable edits that `plain` didn't give."""
    if none.usable is None:
        return [f"Usable edits are not judged: {none.usable_reason}."] if none.usable_reason else []
    counts = none.usable
    if not counts.original:
        return [
            "Even of the unprotected photo no edit is usable (follows the prompt and keeps the "
            "subject), so usable edits say nothing here."
        ]
    if _acts(none):  # the other counts came first
        return [
            "An edit is usable if it follows the prompt and keeps the subject: with noise of the "
            f"protection's size {counts.placebos} of {counts.placebo_edits} are."
        ]
    text = (
        "An edit is usable if it follows the prompt and keeps the subject: "
        f"{counts.original} of {counts.edits} of the unprotected photo, {counts.placebos} of "
        f"{counts.placebo_edits} with noise of the protection's size and {counts.protected} of "
        f"{counts.edits} of the protected one"
    )
    best = _best(others)
    if best is not None and _protected(best.usable) > counts.protected:
        text += f"; after {best.name} {_protected(best.usable)} of the protected one"
    return [f"{text}."]


def _protected(counts: UsableCounts | None) -> int:
    return -1 if counts is None else counts.protected


def without_original(file: PictureFile) -> tuple[str, ...]:
    """What can be said of a file alone, and what can't."""
    if file.format in ("JPEG", "MPO"):
        trace = (
            "It is a JPEG: whatever protected it has been through JPEG, which undoes protections."
        )
    elif file.jpeg_traces:
        trace = (
            "Its pixels show that it was a JPEG. If that was after it was protected, the "
            "protection may be damaged; if before, this means nothing."
        )
    else:
        trace = (
            "Its pixels show no trace of JPEG at quality 90 or below (at 95 and above nothing "
            "would be seen)."
        )
    return (
        "Without the original nothing can be said about whether this file is protected, nor how "
        "well: what a protection adds can't be told from the photo itself.",
        f"What can be said: {file.format}, {file.width} × {file.height} px. {trace}",
        "For an answer, name the original as well: brittle audit ORIGINAL PROTECTED.",
    )


def together(
    results: Sequence[ModelResult], scope: Scope, p: float | None, larger: int
) -> tuple[str, ...]:
    """What several photos say: all together, one by one, and after each transform.

    Empty for one photo. ``p``: how likely noise lies as far as all of them together; ``larger``:
    how many are larger than the model's size.
    """
    if p is None:
        return ()
    shown = [result.deciding for result in results]
    none, others = shown[0][0], range(1, len(shown[0]))
    act = "act" if none.seen == "edits" else "shift what the image encoder sees"
    hits = [sum(one[at].test.stronger for one in shown) for at in range(len(shown[0]))]
    files = count(len(results), "file")
    if p <= ALPHA:
        first = f"together, the {files} {act} more strongly than noise of their size"
    else:
        first = f"together, the {files} do no more than noise of their size"
    chance = f"p = {decimal(p, 2)}" if p >= 0.01 else "p below 0.01"
    text = (
        f"{scope.statement}: {first} ({chance}). One by one, {hits[0]} of {len(results)} {act} "
        f"more strongly than every kind of it, as noise would in at most 1 of {round(1 / ALPHA)}"
    )
    after = [f"{hits[at]} after {shown[0][at].name}" for at in others]
    text += f"; {', '.join(after)}." if after else "."
    if len(results) < MIN_PHOTOS:
        text += (
            f" This is an illustration on {count(len(results), 'photo')}: intervals and verdicts "
            f"take {MIN_PHOTOS}."
        )
    reduced = sum(result.reduced for result in results)
    return (*([_reductions(reduced, larger, results, scope)] if reduced else []), text)


def _reductions(reduced: int, larger: int, results: Sequence[ModelResult], scope: Scope) -> str:
    """What a reader has to know first of photos that were resampled for the model."""
    hidden = {
        one.transform: one.name
        for result in results
        for one in result.comparisons
        if one.reduced_first
    }
    size, model, n = scope.resolution, model_name(scope.model), len(results)
    said = []
    if larger:
        said.append(
            f"{all_or_some(larger, n).capitalize()} are larger than {size} px, and {model} sees "
            "them at that size, as an editor of that size does."
        )
    if steps := reduced - larger:
        said.append(
            f"{all_or_some(steps, n).capitalize()} have sides that {model} doesn't take as they "
            "are: they are resampled to the next smaller that it does."
        )
    text = " ".join(said)
    if not hidden:
        return text
    # Named by what was done: "reduction to 512 px + JPEG 85".
    names = [name.partition(" + ")[2] for name in hidden.values()]
    were = "it was" if len(names) == 1 else "these were"
    first = sum(any(one.reduced_first for one in result.comparisons) for result in results)
    where = "" if first == reduced else f" in {first} of them, and the others are little larger"
    return (
        f"{text} Reducing photos hides most of what {grouped(names)} would do at full size, so "
        f"{were} applied to the reduced photos{where}."
    )


def verdicts(summary: Summary, latents: Sequence[Effect]) -> tuple[str, ...]:
    """What the edits of eight photos and more say, and the encoder where nothing was edited."""
    edited = {effect.transform for effect in summary.effects}
    return (
        summary.headline.sentence,
        *(verdict.sentence for verdict in summary.verdicts),
        *_shift_only([one for one in latents if one.transform not in edited]),
        brackets(summary.n_photos),
    )


def _shift_only(latents: Sequence[Effect]) -> list[str]:
    """What is left of the encoder's shift after transforms without edits."""
    left = [
        f"{with_bounds(one.retention, as_percent=True)} after {transform_name(one.transform)}"
        for one in latents
        if one.retention
    ]
    if not left:
        return []
    return [f"Where nothing was edited, the encoder's shift that is left is {joined(left)}."]


def brackets(photos: int) -> str:
    """What an interval is."""
    return f"In brackets stands the range that fits with what these {count(photos, 'photo')} show."


def shifts(latents: Sequence[Effect]) -> tuple[str, ...]:
    """What the encoder's shift over eight photos and more says: intervals and no verdict."""
    none, others = latents[0], latents[1:]
    said = [
        f"The shift beyond noise is {with_bounds(none.reach, as_percent=True)} of what a gray "
        "picture in the photo's place would do."
    ]
    for one in others:
        text = (
            f"After {transform_name(one.transform)} it is {with_bounds(one.reach, as_percent=True)}"
        )
        if one.retention:
            text += f": {with_bounds(one.retention, as_percent=True)} of the shift is left"
        said.append(f"{text}.")
    return (*said, brackets(none.n))


def joined(names: Sequence[str]) -> str:
    """Names in a sentence: "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

"""The audit's answers, for people who know no statistics."""

from collections.abc import Sequence

from brittle.auditing.document import (
    Answer,
    Distortion,
    ModelResult,
    PictureFile,
    Seen,
    UsableCounts,
)
from brittle.inference.one_photo import PlaceboTest
from brittle.inference.summary import MIN_PHOTOS, Effect, Summary
from brittle.inference.words import (
    all_or_some,
    count,
    decimal,
    model_name,
    opening,
    percent,
    transform_name,
    with_bounds,
)

UNCHANGED = (
    "Nothing was changed: both files hold the same picture, pixel for pixel. There is no "
    "protection in this file."
)


def finding(test: PlaceboTest, seen: Seen, *, transform: str, at_first: bool) -> str:
    """The table's answer for one transform; ``at_first``: it was stronger without a transform."""
    if test.stronger or seen == "edits":
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


def scope_words(model: str, size: int, photos: int) -> str:
    """What every answer starts with."""
    if photos >= MIN_PHOTOS:
        return opening(model, size)
    these = "this photo" if photos == 1 else "these photos"
    return opening(model, size, f"about {these}, not about other models")


def metric_sentence(model: str, reason: str) -> str:
    """What edits are compared by where LPIPS can't be had."""
    return (
        f"Edits on {model_name(model)} are compared by brittle's own perceptual distance: LPIPS, "
        f"in which results on Stable Diffusion are usually given, is not there ({reason})."
    )


def photo_answer(comparisons: Sequence[Answer], scope: str) -> tuple[str, ...]:
    """What was found on one photo: edits if they were made, or else what the encoder sees."""
    edits = any(one.seen == "edits" for one in comparisons)
    shown = [one for one in comparisons if one.seen == ("edits" if edits else "latents")]
    none, others = shown[0], shown[1:]
    sentences = [_at_first(none, scope, edits)]
    if none.test.stronger:
        sentences += _after(others, edits)
    elif strong := [one.name for one in others if one.test.stronger]:
        sentences.append(
            f"Only after {_listed(strong)} does it act more strongly than all of them; with "
            f"{count(len(others), 'transform')} tried, one such result in 20 comes by chance."
        )
    sentences += _usable(none, others)
    if not edits:
        sentences.append(
            "This looked only at what the model's image encoder sees, and says nothing yet about "
            "edits."
        )
    return tuple(sentences)


def _at_first(none: Answer, scope: str, edits: bool) -> str:
    test = none.test
    if test.stronger and edits:
        return (
            f"{scope}, the protection {test.words}: edits of this file come out differently, and "
            "noise does not explain it."
        )
    if test.stronger:
        return f"{scope}, the protection shifts what the image encoder sees: it {test.words}."
    what = "edits" if edits else "what the image encoder sees"
    missing = "No protection" if edits else "No shift of the encoder"
    return (
        f"{scope}, the file does {test.words}: {test.at_least_as_far} of {test.placebos} random "
        f"perturbations moved {what} at least as far. {missing} can be seen in it."
    )


def _after(others: Sequence[Answer], edits: bool) -> list[str]:
    """What is left after the transforms."""
    still = [_with_rest(one) for one in others if one.test.stronger]
    gone = [one.name for one in others if not one.test.stronger]
    if not others:
        return []
    if not gone:
        tried = "the transform" if len(others) == 1 else f"all {len(others)} transforms"
        return [f"It still does after {tried} tried: {_listed(still)}."]
    sentences = [f"It still does after {_listed(still)}."] if still else []
    if edits:
        rest = "it acts no more than noise of its size: nothing of it can be told from noise there"
    else:
        rest = "the encoder's shift is gone: it is no more than noise of its size"
    return [*sentences, f"After {_listed(gone)} {rest}."]


def _with_rest(one: Answer) -> str:
    return one.name if one.left is None else f"{one.name} ({percent(one.left)} % left)"


def _usable(none: Answer, others: Sequence[Answer]) -> list[str]:
    """Counts of usable edits: without a transform, and after the one that helps an attacker most.

    Nothing is said of the transforms where nothing is gained.
    """
    if none.usable is None:
        return [f"Usable edits are not judged: {none.usable_reason}."] if none.usable_reason else []
    counts = none.usable
    if not counts.original:
        return [
            "Even of the unprotected photo no edit is usable (shows what was asked for and keeps "
            "the subject), so nothing can be said of usable edits."
        ]
    text = (
        "Usable edits, which show what was asked for and keep the subject: "
        f"{counts.original} of {counts.edits} of the unprotected photo, {counts.placebos} of "
        f"{counts.placebo_edits} with noise of the protection's size and {counts.protected} of "
        f"{counts.edits} of the protected one"
    )
    best = max(
        (one for one in others if one.usable), key=lambda one: _protected(one.usable), default=None
    )
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


def together(results: Sequence[ModelResult], scope: str) -> tuple[str, ...]:
    """Counts over several photos, without a transform and after each; empty for one photo."""
    if len(results) < 2:
        return ()
    shown = [result.deciding for result in results]
    none, others = shown[0][0], range(1, len(shown[0]))
    what = "act" if none.seen == "edits" else "shift what the image encoder sees"
    hits = [sum(one[at].test.stronger for one in shown) for at in range(len(shown[0]))]
    text = (
        f"{scope}: {all_or_some(hits[0], len(results))} {what} more strongly than all "
        f"{none.test.placebos} random perturbations of their size"
    )
    after = [f"{hits[at]} after {shown[0][at].name}" for at in others]
    text += f"; {', '.join(after)}." if after else "."
    if len(results) < MIN_PHOTOS:
        text += (
            f" This is an illustration on {count(len(results), 'photo')}: intervals and verdicts "
            f"take {MIN_PHOTOS}."
        )
    return (text,)


def verdicts(summary: Summary) -> tuple[str, ...]:
    """What the edits of eight photos and more say."""
    return (
        summary.headline.sentence,
        *(verdict.sentence for verdict in summary.verdicts),
        brackets(summary.n_photos),
    )


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


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

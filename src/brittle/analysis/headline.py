"""The report's sentence in numbers: counts of usable edits, placebo and worst case included."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from brittle.analysis.effects import Effects
from brittle.analysis.intervals import known_mean
from brittle.analysis.phrases import (
    MIN_EDITS,
    count,
    of_edits,
    percent,
    transform_name,
    with_bounds,
)
from brittle.analysis.summary import MIN_PHOTOS, Headline, Interval, Line, Scope, WorstCase
from brittle.analysis.usable import UsableEdits
from brittle.declaration.primary import Primary
from brittle.record.arms import ORIGINAL

FAVOURITE = "jpeg:quality=75"
BOX = {
    True: "white-box (made against the model that edits)",
    False: "black-box (not made against the model that edits)",
    None: "not known whether white-box or black-box (made against the model that edits, or not)",
}
WITH_NOISE = {
    "noise": "with plain noise",
    "noise-spectrum": "with noise of its spectrum",
    "noise-local": "with noise of its spectrum where it is strong",
}
WORST: dict[Line, str] = {"oracle": "for each photo", "best fixed": "for all photos alike"}
"""Lines of the worst case that have an effect, the first with a number being printed."""


@dataclass(frozen=True)
class _About:
    """What the sentence says something of: an arm and, if there is one, what was done to it."""

    effects: Effects
    usable: UsableEdits
    arm: str
    transform: str | None
    opening: str
    worst_cases: Sequence[WorstCase]


def headline(
    effects: Effects,
    usable: UsableEdits,
    primary: Primary,
    scope: Scope,
    worst_cases: Sequence[WorstCase],
) -> Headline:
    """Say what became of the edits, for the first primary arm and JPEG 75 if declared.

    The arm is named where there are several.
    """
    if not primary.arms:
        return Headline(sentence=f"{scope.statement}: no protection was tried.")
    arm = primary.arms[0]
    measured = [
        name
        for name in primary.transforms
        if name != "none" and np.isfinite(effects.block(arm, name).values).any()
    ]
    transform = FAVOURITE if FAVOURITE in measured else measured[0] if measured else None
    opening = _opening(scope, effects, arm, several=len(primary.arms) > 1)
    about = _About(effects, usable, arm, transform, opening, worst_cases)
    photos = _by_effect(effects, arm)
    editable = _with_usable_edits(usable, photos)
    return Headline(
        sentence=_without_usable(about) if usable.reason else _with_usable(about),
        arm=arm,
        transform=transform,
        median_photo=editable[(len(editable) - 1) // 2] if editable else None,
        best_photo=photos[-1] if photos else None,
        worst_photo=photos[0] if photos else None,
    )


def _opening(scope: Scope, effects: Effects, arm: str, *, several: bool) -> str:
    """What the sentence is about: scope, arm, who made it against what, and how many prompts."""
    own = effects.table.arms[arm].white_box
    box = BOX[scope.white_box if own is None else own]
    parts = [scope.statement, *([f"for {arm}"] if several else []), box]
    if scope.prompts is not None:
        intervals = effects.unit.count(effects.contrast(arm, "none").known) >= MIN_PHOTOS
        prompts = count(scope.prompts, "prompt")
        parts.append(f"{prompts} (which the intervals do not cover)" if intervals else prompts)
    return ", ".join(parts)


def _worst(about: _About, edits: int) -> str:
    """The worst case over everything tried, as a clause: by usable ``edits`` if there are any."""
    effects, arm = about.effects, about.arm
    tried = [
        name
        for name in effects.table.names("transform")
        if name != "none" and effects.block(arm, name).asked.any()
    ]
    if not tried:
        return "; no transform was tried"
    transforms = count(len(tried), "transform")
    cases = {(case.arm, case.line): case for case in about.worst_cases}
    if edits and (arm, "any") in cases and cases[arm, "any"].usable:
        got, unprotected = (
            _share_of(cases[which, "any"].usable, edits) for which in (arm, ORIGINAL)
        )
        return (
            f"; with whichever of {transforms} or none works, {got} of the protected one "
            f"(unprotected: {unprotected})"
        )
    for line, chosen in WORST.items():
        case = cases.get((arm, line))
        if case and case.effect:
            left = f"an effect of {with_bounds(case.effect)}"
            if case.share:
                left = f"{with_bounds(case.share, as_percent=True)} of the effect"
            return f"; after the worst of {transforms} or none {chosen}, {left} is left"
    return f"; the worst case of the {transforms} tried is not known"


def _share_of(usable: Interval | None, edits: int) -> str:
    """A share of edits with its interval; of few edits it is no percentage."""
    if edits < MIN_EDITS:
        return f"a share of {with_bounds(usable)}"
    return with_bounds(usable, as_percent=True)


def _with_usable(about: _About) -> str:
    effects, usable, arm, transform = about.effects, about.usable, about.arm, about.transform
    cells = {"of the unprotected photo": (ORIGINAL, "none")}
    if placebo := effects.placebo(arm, "none"):
        noise = WITH_NOISE.get(effects.table.arms[placebo].noise or "", "with noise of its size")
        cells[noise] = (placebo, "none")
    cells["of the protected one"] = (arm, "none")
    after = f"after {transform_name(transform)}" if transform else ""
    if transform:
        cells[f"of the protected one {after}"] = (arm, transform)
        cells[f"unprotected {after}"] = (ORIGINAL, transform)
    shares = {words: usable.shares(*cell) for words, cell in cells.items()}
    judged = {words: found for words, found in shares.items() if found.rows}
    many = min(found.rows for found in judged.values()) >= MIN_EDITS
    numbers = {
        words: percent(known_mean(found.per_photo, usable.table.unit) or 0.0)
        if many
        else f"{found.hits:.3g} of {found.rows}"
        for words, found in judged.items()
    }
    beside = numbers.pop(f"unprotected {after}", None)
    counts = [f"{number} {words}" for words, number in numbers.items()]
    if beside is not None and f"of the protected one {after}" in numbers:
        counts[-1] += f" (unprotected {after}: {beside})"
    of = "of 100 edits, usable" if many else "usable edits"
    at_worst = _worst(about, usable.shares(arm, "none").rows)
    return f"{about.opening}, {of}: {', '.join(counts)}{at_worst}."


def _without_usable(about: _About) -> str:
    """Counts of edits that moved further than noise moves them: half means nothing is left."""
    effects, arm, transform, opening = about.effects, about.arm, about.transform, about.opening
    before = effects.contrast(arm, "none")
    if before.win_rate is None:
        text = f"{opening}: usable edits are not judged: {about.usable.reason}"
        if not effects.placebos(arm, "none"):
            return f"{text}. Without edits of the photo with noise (placebo) no effect is known."
        return f"{text}. Nothing else is known."
    moved = of_edits(before.win_rate * before.rows, before.rows)
    text = (
        f"{opening}, {moved} edits of the protected photo moved further from the control than with "
        "noise of its size"
    )
    after = effects.contrast(arm, transform) if transform else None
    if transform and after and after.win_rate is not None:
        moved = of_edits(after.win_rate * after.rows, after.rows)
        text += f", and {moved} after {transform_name(transform)}"
    unjudged = f"Usable edits are not judged: {about.usable.reason}"
    return f"{text} (by chance alone: half){_worst(about, 0)}. {unjudged}."


def _with_usable_edits(usable: UsableEdits, photos: list[str]) -> list[str]:
    """Photos of which an unprotected edit is usable; all of them where there is none."""
    shares = usable.table.by_unit(usable.shares(ORIGINAL, "none").per_photo)
    return [photo for photo in photos if shares.get(photo, 0) > 0] or photos


def _by_effect(effects: Effects, arm: str) -> list[str]:
    """Photos with an effect without a transform, smallest effect first."""
    found = effects.table.by_unit(effects.contrast(arm, "none").effect)
    return sorted(found, key=lambda photo: (found[photo], photo))

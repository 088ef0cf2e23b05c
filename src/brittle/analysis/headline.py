"""The report's first sentence: counts of usable edits, placebo included."""

import numpy as np

from brittle.analysis.effects import Effects
from brittle.analysis.intervals import known_mean
from brittle.analysis.phrases import transform_name
from brittle.analysis.summary import Headline
from brittle.analysis.usable import UsableEdits
from brittle.declaration.primary import Primary
from brittle.record.arms import ORIGINAL

FAVOURITE = "jpeg:quality=75"


def headline(effects: Effects, usable: UsableEdits, primary: Primary, scope: str) -> Headline:
    """Say what became of a hundred edits, for the first primary arm and JPEG 75 if declared.

    The arm is named where there are several.
    """
    if not primary.arms:
        return Headline(sentence=f"{scope}: no protection was tried.")
    arm = primary.arms[0]
    measured = [
        name
        for name in primary.transforms
        if name != "none" and np.isfinite(effects.block(arm, name).values).any()
    ]
    transform = FAVOURITE if FAVOURITE in measured else measured[0] if measured else None
    shares = _usable_shares(effects, usable, arm, transform)
    if len(primary.arms) > 1:
        scope = f"{scope}, for {arm}"
    if usable.reason:
        sentence = _without_usable(effects, usable, arm, transform, scope)
    else:
        sentence = _with_usable(effects, shares, transform, scope)
    photos = _by_effect(effects, arm)
    return Headline(
        sentence=sentence,
        arm=arm,
        transform=transform,
        per_hundred=shares,
        median_photo=photos[(len(photos) - 1) // 2] if photos else None,
        best_photo=photos[-1] if photos else None,
        worst_photo=photos[0] if photos else None,
    )


def _usable_shares(
    effects: Effects, usable: UsableEdits, arm: str, transform: str | None
) -> dict[str, float]:
    cells = {"unprotected": (ORIGINAL, "none")}
    if effects.kind:
        cells["placebo"] = (effects.placebo(arm), "none")
    cells["protected"] = (arm, "none")
    if transform:
        cells["protected after"] = (arm, transform)
        cells["unprotected after"] = (ORIGINAL, transform)
    found: dict[str, float] = {}
    if usable.reason:
        return found
    for name, (which, where) in cells.items():
        share = known_mean(usable.shares(which, where).per_photo)
        if share is not None:
            found[name] = 100 * share
    return found


def _with_usable(
    effects: Effects, shares: dict[str, float], transform: str | None, scope: str
) -> str:
    words = {
        "unprotected": "of the unprotected photo",
        "placebo": "with plain noise" if effects.kind == "noise" else "with noise of its spectrum",
        "protected": "of the protected one",
    }
    parts = [f"{shares[key]:.0f} {text}" for key, text in words.items() if key in shares]
    if transform and "protected after" in shares:
        name = transform_name(transform)
        last = f"{shares['protected after']:.0f} of the protected one after {name}"
        if "unprotected after" in shares:
            last += f" (unprotected after {name}: {shares['unprotected after']:.0f})"
        parts.append(last)
    return f"{scope}, of 100 edits, usable: {', '.join(parts)}."


def _without_usable(
    effects: Effects, usable: UsableEdits, arm: str, transform: str | None, scope: str
) -> str:
    """Counts of edits that moved further than noise moves them: 50 of 100 means nothing is left."""
    wins = effects.contrast(arm, "none").win_rate
    if wins is None:
        text = f"{scope}: usable edits are not judged: {usable.reason}"
        if effects.kind is None:
            return f"{text}. Without edits of the photo with noise (placebo) no effect is known."
        return f"{text}. Nothing else is known."
    text = (
        f"{scope}, of 100 edits of the protected photo, {100 * wins:.0f} moved further from the "
        "control than with noise of its size"
    )
    after = effects.contrast(arm, transform).win_rate if transform else None
    if transform and after is not None:
        text += f", and {100 * after:.0f} after {transform_name(transform)}"
    return f"{text} (by chance alone: 50). Usable edits are not judged: {usable.reason}."


def _by_effect(effects: Effects, arm: str) -> list[str]:
    """Photos with an effect without a transform, smallest effect first."""
    found = effects.table.by_unit(effects.contrast(arm, "none").effect)
    return sorted(found, key=lambda photo: (found[photo], photo))

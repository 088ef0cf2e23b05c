"""What a report says in a few words: what became of the edits, and distances without a control."""

from brittle.analysis.finished import Finished
from brittle.analysis.phrases import count, decimal, of_edits, transform_name, when
from brittle.analysis.summary import EffectWord, Summary
from brittle.record.arms import ORIGINAL

WHAT_IT_DID: dict[EffectWord, str] = {
    "broken": "{after} undid the protection",
    "weakened": "{after} weakened the protection",
    "survived": "The protection survived {after}",
}
"""Only what a verdict says; without one, the counts stand alone."""


MOST = 8
"""Protections that have a line of their own."""


def plain_answers(summary: Summary) -> list[str]:
    """What became of the edits, a line for each declared protection of which anything is known.

    How many are usable or, where that isn't judged, how many moved further than noise moves them.
    """
    if summary.style:
        return []
    arms = summary.primary.arms
    found = {arm: _usable_edits(summary, arm) or _moved_edits(summary, arm) for arm in arms}
    lines = [f"{arm}: {said}" if len(arms) > 1 else said for arm, said in found.items() if said]
    if (more := len(lines) - MOST) <= 0:
        return lines
    return [
        *lines[:MOST],
        f"{count(more, 'more protection')} {'stands' if more == 1 else 'stand'} below.",
    ]


def _usable_edits(summary: Summary, arm: str) -> str:
    transform = summary.headline.transform
    before, after = _usable(summary, arm, "none"), _usable(summary, arm, transform)
    unprotected = _usable(summary, ORIGINAL, transform or "none")
    if not (before and unprotected) or (transform and not after):
        return ""
    if not transform:
        return (
            f"{before} edits of protected photos are usable, and {unprotected} of "
            "unprotected photos."
        )
    verdict = summary.verdict(arm, transform)
    said = WHAT_IT_DID.get(verdict.word, "") if verdict else ""
    name = transform_name(transform)
    opening = f"{said.format(after=name)}: " if said else f"After {name}, "
    again = " after it" if said else ""
    return (
        f"{opening}{after} edits of protected photos are usable{again}, {before} before; "
        f"of unprotected photos {unprotected}."
    )


def _moved_edits(summary: Summary, arm: str) -> str:
    transform = summary.headline.transform
    moved = {
        name: of_edits(found.win_rate * found.rows, found.rows)
        for name in ("none", *([transform] if transform else []))
        if (found := summary.effect(arm, name)) and found.win_rate is not None
    }
    if "none" not in moved:
        return ""
    after = f", {moved[transform]} {when(transform)}" if transform in moved else ""
    return (
        f"{moved['none']} edits of protected photos moved further than with noise of the same size"
        f"{after}; by chance alone, half of them would."
    )


def raw_distances(trial: Finished, arm: str, editor: str) -> str:
    """How far edits lie from their controls, where no placebo tells what noise would do."""
    summary = trial.summary
    found = [summary.effect(arm, one.label, editor=editor) for one in trial.manifest.transforms]
    alone = [one for one in found if one and one.placebo is None and one.distance is not None]
    if summary.style or not alone:
        return ""
    listed = "; ".join(f"{decimal(one.distance or 0)} {when(one.transform)}" for one in alone)
    return (
        f"{arm}: mean distance of edits from the unprotected photo's ({summary.primary.metric}): "
        f"{listed}. There is no placebo, so nobody knows how far noise of that size moves edits."
    )


def _usable(summary: Summary, arm: str, transform: str | None) -> str:
    """The count of an arm's usable edits; empty where there is none."""
    found = summary.usable_of(arm, transform) if transform else None
    return f"{found.usable} of {found.rows}" if found and found.rate else ""

"""The first line of a report: what became of the edits, in counts and a few words."""

from brittle.analysis.phrases import transform_name
from brittle.analysis.summary import EffectWord, Summary
from brittle.record.arms import ORIGINAL

WHAT_IT_DID: dict[EffectWord, str] = {
    "broken": "{after} undid the protection",
    "weakened": "{after} weakened the protection",
    "survived": "The protection survived {after}",
}
"""Only what a verdict says; without one, the counts stand alone."""


def plain_answer(summary: Summary) -> str:
    """How many edits are usable, protected and not, in one line; empty where that isn't judged."""
    arm, transform = summary.headline.arm, summary.headline.transform
    before, after = _usable(summary, arm, "none"), _usable(summary, arm, transform)
    unprotected = _usable(summary, ORIGINAL, transform or "none")
    if summary.style or not (before and unprotected) or (transform and not after):
        return ""
    about = f"{arm}: " if len(summary.primary.arms) > 1 else ""
    if not transform:
        return (
            f"{about}{before} edits of protected photos are usable, and {unprotected} of "
            "unprotected photos."
        )
    verdict = summary.verdict(arm, transform)
    said = WHAT_IT_DID.get(verdict.word, "") if verdict else ""
    name = transform_name(transform)
    opening = f"{said.format(after=name)}: " if said else f"After {name}, "
    again = " after it" if said else ""
    return (
        f"{about}{opening}{after} edits of protected photos are usable{again}, {before} before; "
        f"of unprotected photos {unprotected}."
    )


def _usable(summary: Summary, arm: str, transform: str | None) -> str:
    """The count of an arm's usable edits; empty where there is none."""
    found = summary.usable_of(arm, transform) if transform else None
    return f"{found.usable} of {found.rows}" if found and found.rate else ""

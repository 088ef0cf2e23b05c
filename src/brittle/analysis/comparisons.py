"""Transforms compared with each other, paired by photo, where the trial announced it."""

from collections.abc import Iterator

from brittle.analysis.effects import Effects
from brittle.analysis.intervals import mean_interval
from brittle.analysis.phrases import count, transform_name, with_bounds
from brittle.analysis.summary import Comparison, Finding
from brittle.analysis.usable import UsableEdits
from brittle.declaration.primary import Primary


def compare(effects: Effects, usable: UsableEdits, primary: Primary) -> Iterator[Comparison]:
    """Test every announced contrast for every primary arm; they share the error level."""
    alpha = primary.alpha / max(len(primary.arms) * len(primary.contrasts), 1)
    for arm in primary.arms:
        for contrast in primary.contrasts:
            found = compare_transforms(effects, usable, arm, contrast.left, contrast.right, alpha)
            if found:
                yield found


def compare_transforms(
    effects: Effects, usable: UsableEdits, arm: str, left: str, right: str, alpha: float
) -> Comparison | None:
    """Compare what is left of an arm's effect after two transforms; None without numbers."""
    after_left = effects.contrast(arm, left, paired=right)
    after_right = effects.contrast(arm, right, paired=left)
    difference = mean_interval(after_left.effect - after_right.effect, alpha, effects.unit)
    if difference is None:
        return None
    finding: Finding = "not settled"
    first, second = left, right
    if difference.low is not None and difference.low > 0:
        finding = "more is left after left"
    elif difference.high is not None and difference.high < 0:
        finding, first, second = "more is left after right", right, left
    names = transform_name(first), transform_name(second)
    shown = f"difference {with_bounds(difference)}, {count(difference.n, effects.unit.name)}"
    if finding == "not settled":
        sentence = f"Whether more is left after {names[0]} or {names[1]} is not settled ({shown})."
    else:
        sentence = f"More is left after {names[0]} than after {names[1]} ({shown})."
    return Comparison(
        arm=arm,
        editor=effects.editor,
        metric=effects.metric,
        left=left,
        right=right,
        difference=difference,
        usable_difference=usable.difference(arm, left, arm, right, alpha),
        finding=finding,
        sentence=sentence,
    )

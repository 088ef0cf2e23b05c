"""Flags: signs that a result may not mean what it seems to. docs/flags.md lists them all."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product

import numpy as np

from brittle.analysis.effects import Effects
from brittle.analysis.evidence import Evidence, ProtectedFile
from brittle.analysis.intervals import Array
from brittle.analysis.phrases import count, percent, transform_name
from brittle.analysis.summary import Ends, Flag
from brittle.analysis.usable import UsableEdits
from brittle.analysis.verdicts import needed_for_attacker, too_many
from brittle.record.arms import ORIGINAL

SATURATION = 0.8
SCALE_GAP = 0.25
LITTLE_USED = 0.5
ROUNDING = 1e-4  # of a budget: two float32 levels differ by this much less than by a level

# name: (what it means, what to do, whether it stops the verdict)
FLAGS: dict[str, tuple[str, str, bool]] = {
    "saturated": (
        "the protected edits are nearly as far off as a gray picture's, so the distance can hardly "
        "grow: the share that is left after a transform is overstated",
        "read reach and usable edits instead of the share, or lower the budget",
        False,
    ),
    "scale-dependent": (
        "two metrics disagree by more than 25 points on the share that is left",
        "trust the win rate and usable edits, which have no scale; quote no single share",
        False,
    ),
    "within seed noise": (
        "the protected edits differ from the control's no more than two edits of the same photo "
        "with different seeds do",
        "look at usable edits: a distance of this size may mean nothing to an attacker",
        False,
    ),
    "loss did not fall": (
        "the protection's own loss is no lower at its end than at its start",
        "check its step size and steps; what was measured is a failed optimisation",
        False,
    ),
    "gradient vanished": (
        "the protection's gradient was zero in at least half of its steps",
        "check for saturated or non-differentiable steps in its objective",
        False,
    ),
    "budget exceeded": (
        "the saved file lies outside the budget that was declared",
        "do not compare it with protections that kept theirs; report the distance really used",
        False,
    ),
    "budget unused": (
        "the perturbation uses less than half of its budget",
        "compare it at the distance really used, not at the declared budget",
        False,
    ),
    "saved file differs": (
        "the saved file is not what was optimised",
        "score the file that will be published, and find out what changed it",
        False,
    ),
    "protection did nothing": (
        "the protected photo's edits are exactly those of the unprotected photo",
        "check that the protected file differs from the original and is what was edited",
        True,
    ),
    "transform did nothing": (
        "the transform changed nothing at all",
        "check its parameters; what was measured is the untransformed photo",
        True,
    ),
    "editor ignored the photo": (
        "edits of a gray picture are exactly those of the photo: the editor does not look at it, "
        "or did nothing",
        "check the editor's strength and that its result is not a blank or filtered picture",
        True,
    ),
    "editor did nothing": (
        "the edits are exactly the pictures that were to be edited",
        "check the editor's strength and steps",
        True,
    ),
    "seed did nothing": (
        "edits of one photo under different seeds are exactly alike",
        "count them as one: more seeds add nothing here",
        False,
    ),
    "JPEG traces": (
        "a photo in a file of another format was compressed as a JPEG before",
        "what a further JPEG does to it may be less than to a photo from a camera's raw file",
        False,
    ),
    "nothing learned": (
        "fine-tuning on unprotected pictures does not bring the model clearly closer to the "
        "originals than the base model is",
        "look for a better rate and number of steps: so far there is nothing to protect",
        True,
    ),
    "prompt cut": (
        "a prompt is longer than the model's text encoder reads, so its end had no effect",
        "shorten the prompt; what was edited is its beginning",
        False,
    ),
    "judgements missing": (
        "more than a tenth of the edits lack a judgement of whether they are usable, in some arm",
        "find out why (the reasons stand in results.csv): edits that lack one may all be alike",
        False,
    ),
    "no placebo": (
        "the protection has no noise of its own size to be compared with",
        "add its placebo to the trial's arms; until then there is neither effect nor verdict",
        False,
    ),
    "usable is not judged": (
        "there is no judgement of which edits an attacker could use",
        "see the reason; distances alone do not say whether a protection is worth anything",
        False,
    ),
}


def raise_flag(
    name: str, where: str = "", *, arm: str | None = None, transform: str | None = None
) -> Flag:
    """Build one of the known flags."""
    meaning, todo, stops = FLAGS[name]
    return Flag(
        name=name,
        meaning=meaning,
        todo=todo,
        where=where,
        arm=arm,
        transform=transform,
        stops_verdict=stops,
    )


def check_evidence(evidence: Evidence) -> Iterator[Flag]:
    """Flags from how the files were made."""
    by_arm: dict[str, list[ProtectedFile]] = {}
    for file in evidence.protected:
        by_arm.setdefault(file.arm, []).append(file)
    for arm, files in by_arm.items():
        for name, failed in (
            ("loss did not fall", [f for f in files if _loss_stayed(f)]),
            ("gradient vanished", [f for f in files if f.gradient_vanished]),
            ("budget exceeded", [f for f in files if f.used is not None and f.used > 1 + ROUNDING]),
            ("budget unused", [f for f in files if f.used is not None and f.used < LITTLE_USED]),
            ("saved file differs", [f for f in files if f.saved_as_optimised is False]),
        ):
            if failed:
                where = f"{arm}, {len(failed)} of {count(len(files), 'photo')}"
                yield raise_flag(name, where, arm=arm)
    for transform in evidence.idle:
        yield raise_flag("transform did nothing", transform_name(transform), transform=transform)
    if evidence.unedited:
        yield raise_flag("editor did nothing", count(evidence.unedited, "edit"))
    if evidence.jpeg_traces:
        yield raise_flag("JPEG traces", ", ".join(evidence.jpeg_traces))
    if evidence.cut_prompts:
        yield raise_flag("prompt cut", "; ".join(map(repr, evidence.cut_prompts)))


def _loss_stayed(file: ProtectedFile) -> bool:
    if file.first_loss is None or file.last_loss is None:
        return False
    return not file.last_loss < file.first_loss


def check_scores(effects: Effects, usable: UsableEdits, arms: Sequence[str]) -> Iterator[Flag]:
    """Flags from the scores in one metric and editor."""
    table = effects.table
    where = {"editor": effects.editor, "metric": f"{effects.metric}.distance"}
    if _all_zero(effects.block(table.ceiling, "none").values):
        yield raise_flag("editor ignored the photo", effects.editor)
    for transform in table.names("transform"):
        moved = table.block(ORIGINAL, transform, reference="clean", **where)
        # Unedited, what a flip moved is back in place to the pixel: only pictures tell that.
        edits = effects.editor != "none"
        if transform != "none" and edits and _all_zero(moved.values):
            name = transform_name(transform)
            yield raise_flag("transform did nothing", name, transform=transform)
    floor = table.block(ORIGINAL, "none", reference="seed", **where).values
    if _all_zero(floor):
        yield raise_flag("seed did nothing", effects.editor)
    for arm in arms:
        yield from _check_arm(effects, arm, floor)
    if usable.reason:
        yield raise_flag("usable is not judged", usable.reason)
        return
    for arm, transform in product(arms, table.names("transform")):
        lacking, asked = usable.lacking(needed_for_attacker(effects, arm, transform))
        if too_many(lacking, asked):
            said = f"{arm}, {transform_name(transform)}: {lacking} of {count(asked, 'edit')}"
            yield raise_flag("judgements missing", said, arm=arm, transform=transform)


def _check_arm(effects: Effects, arm: str, floor: Array) -> Iterator[Flag]:
    if not effects.placebos(arm, "none"):
        yield raise_flag("no placebo", arm, arm=arm)
    distances = effects.block(arm, "none").values
    if _all_zero(distances):
        yield raise_flag("protection did nothing", arm, arm=arm)
    contrast = effects.contrast(arm, "none")
    both = contrast.known & np.isfinite(contrast.ceiling)
    if both.any():
        mean, ceiling = contrast.distance[both].mean(), contrast.ceiling[both].mean()
        if ceiling > 0 and mean >= SATURATION * ceiling:
            where = f"{arm}: {percent(mean / ceiling)} % of a gray picture's distance"
            yield raise_flag("saturated", where, arm=arm)
    if np.isfinite(floor).any() and np.isfinite(distances).any():
        moved, chance = np.nanmean(distances), np.nanmean(floor)
        if moved <= chance:
            where = f"{arm}: {moved:.3g}, and two seeds differ by {chance:.3g}"
            yield raise_flag("within seed noise", where, arm=arm)


def check_scales(shares: dict[tuple[str, str], dict[str, float]]) -> Iterator[Flag]:
    """Flag (arm, transform) pairs whose shares in several metrics lie too far apart."""
    for (arm, transform), by_metric in shares.items():
        if len(by_metric) > 1 and max(by_metric.values()) - min(by_metric.values()) > SCALE_GAP:
            found = ", ".join(f"{metric} {share:.0%}" for metric, share in by_metric.items())
            where = f"{arm}, {transform_name(transform)}: {found}"
            yield raise_flag("scale-dependent", where, arm=arm, transform=transform)


def check_learning(ends: Iterable[Ends]) -> Iterator[Flag]:
    """Where a fine-tune on unprotected pictures hardly helped, nothing can be protected."""
    for end in ends:
        if not end.learned_clearly:
            where = f"{end.metric}, {transform_name(end.transform)}"
            yield raise_flag("nothing learned", where, transform=end.transform)


def _all_zero(values: Array) -> bool:
    known = values[np.isfinite(values)]
    return bool(len(known)) and bool((known == 0).all())

"""The report's tables, as plain rows of cells: what stands in them, not how it looks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from brittle.analysis.finished import Finished
from brittle.analysis.summary import Effect, Interval, Preference, Style, Summary, Usable, Verdict
from brittle.reporting.formatting import (
    MIN_EDITS,
    all_or_some,
    arm_name,
    bounds,
    count,
    hundred,
    number,
    percent,
    sentence,
    spread,
    transform_name,
)


@dataclass(frozen=True)
class TableCell:
    """A number or a word, what belongs to it (interval, reason), and a style."""

    main: str
    small: str = ""
    style: str = ""

    @property
    def short(self) -> str:
        """A number with its interval; a reason is left to the report."""
        return f"{self.main} {self.small if self.small.startswith('[') else ''}".strip()


NO_VERDICT = TableCell("–")
CLOSER = ("protected", "placebo", "best of the tries", "best, placebo", "best, unprotected")
"""Whose pictures are as close to the originals as unprotected ones."""


@dataclass(frozen=True)
class TransformRow:
    """One transform in the main table."""

    name: str
    label: str
    outcomes: tuple[TableCell, ...]
    reach: TableCell
    retention: TableCell
    n: TableCell
    effect: TableCell = NO_VERDICT
    attacker: TableCell = NO_VERDICT
    starred: bool = False
    """Whether the trial declared it beforehand."""


@dataclass(frozen=True)
class TransformTable:
    """The main table of one protection under one editor."""

    arm: str
    editor: str
    outcome: str
    """What the first columns hold."""
    columns: tuple[str, ...]
    """Whose."""
    counted: str
    """What n counts."""
    rows: tuple[TransformRow, ...]
    caption: str
    verdicts: bool = False
    """Whether rows may have a verdict."""


def transform_table(trial: Finished, arm: str, editor: str) -> TransformTable:
    """Transform, outcomes by arm, reach, retention, both verdicts, n.

    The outcomes are usable edits or, over collections, pictures as close as without protection.
    """
    summary, arms = trial.summary, trial.compared(arm)
    rows = tuple(
        _row(summary, tuple(arms.values()), one.label, editor) for one in trial.manifest.transforms
    )
    if style := summary.style:
        return TransformTable(
            arm=arm,
            editor=editor,
            outcome="As close as unprotected, per 100",
            columns=CLOSER,
            counted="pairs",
            rows=rows,
            caption=f"{sentence(style.unit_words)} Best of the tries: of "
            f"{count(len(style.seeds), 'picture')} a prompt",
        )
    intervals = (
        f"; no intervals: {summary.illustration_words}"
        if summary.illustration
        else f" with 95 % intervals over {'groups of ' if summary.n_groups else ''}photos"
    )
    judged = [
        found
        for found in summary.usable
        if found.arm in arms.values() and found.editor == editor and found.rows
    ]
    few = any(found.rows < MIN_EDITS for found in judged)
    outcome = "Usable edits" if few else "Usable edits per 100"
    return TransformTable(
        arm=arm,
        editor=editor,
        outcome=outcome,
        columns=tuple(
            "protected" if label == arm else arm_name(label, kind) for kind, label in arms.items()
        ),
        counted="photos; edits an arm",
        rows=rows,
        caption=f"{outcome}, reach and retention{intervals}",
        verdicts=True,
    )


def _row(summary: Summary, arms: Sequence[str], transform: str, editor: str) -> TransformRow:
    """A row of the last of the arms, beside those that it is compared with."""
    arm = arms[-1]
    effect = summary.effect(arm, transform, editor=editor)
    verdict = next(
        (
            found
            for found in summary.verdicts
            if (found.arm, found.transform, found.editor) == (arm, transform, editor)
        ),
        None,
    )
    if style := summary.style:
        twins = style.preference(arm, transform, summary.primary.metric)
        outcomes, n = _closer(twins), TableCell(str(twins.pairs) if twins else "–")
    else:
        usable = [summary.usable_of(label, transform, editor=editor) for label in arms]
        outcomes, n = tuple(_usable(found, summary) for found in usable), _n(effect, usable)
    return TransformRow(
        name=transform_name(transform),
        label=transform,
        outcomes=outcomes,
        reach=reach_cell(effect, summary),
        retention=_retention(effect, transform, summary),
        n=n,
        effect=_effect_word(verdict, transform, summary),
        attacker=TableCell(verdict.attacker, "", _style(verdict.attacker))
        if verdict
        else NO_VERDICT,
        starred=effect is not None and not effect.exploratory and transform != "none",
    )


def other_metrics(
    trial: Finished, arm: str
) -> list[tuple[str, list[tuple[str, TableCell, TableCell, str]]]]:
    """Reach and retention side by side in the metrics that don't decide, by metric."""
    summary = trial.summary
    metrics = dict.fromkeys(effect.metric for effect in summary.effects)
    tables = []
    for metric in metrics:
        if metric == summary.primary.metric:
            continue
        rows = []
        for transform in (one.label for one in trial.manifest.transforms):
            effect = summary.effect(arm, transform, metric=metric)
            if effect:
                name = transform_name(transform)
                reach = reach_cell(effect, summary)
                rows.append((name, reach, _retention(effect, transform, summary), str(effect.n)))
        if rows:
            tables.append((metric, rows))
    return tables


def range_or_bounds(interval: Interval, values: dict[str, float], above: int | None) -> str:
    """The interval; where few photos allow none, the range and how many lie above zero."""
    if interval.low is None and "interval" in interval.note and values:
        counted = f"; above 0: {all_or_some(above, len(values))}" if above is not None else ""
        return spread(values) + counted
    return bounds(interval)


def _usable(found: Usable | None, summary: Summary) -> TableCell:
    if found is None:
        return TableCell("–", "not measured", "missing")
    if found.rate is None:
        # A reason that holds for the whole trial stands above the table, once.
        said = found.reason and found.reason != summary.usable_reason
        return TableCell("–", found.reason if said else "not judged", "missing wordy")
    if found.rows < MIN_EDITS:
        small = "" if found.rate.low is None else bounds(found.rate)
        return TableCell(f"{found.usable} of {found.rows}", small)
    main = hundred(found.rate.estimate)
    if found.rate.low is None:
        return TableCell(main, f"{found.usable} of {count(found.rows, 'edit')}")
    return TableCell(main, bounds(found.rate, per_hundred=True))


def _closer(twins: Preference | None) -> tuple[TableCell, ...]:
    """The cells under `CLOSER`."""
    if twins is None:
        return (TableCell("–", "not measured", "missing"), *[TableCell("–")] * (len(CLOSER) - 1))
    shares = [
        TableCell(hundred(share.estimate), bounds(share, per_hundred=True))
        if share
        else TableCell("–")
        for share in (twins.preference, twins.preference_placebo)
    ]
    tries = (twins.best_of, twins.best_of_placebo, twins.best_of_clean)
    return (*shares, *(TableCell(hundred(one[-1]) if one else "–") for one in tries))


def reach_cell(effect: Effect | None, summary: Summary) -> TableCell:
    """An effect's reach; or a dash, and why there is none."""
    if effect is None:
        return TableCell("–", "not measured", "missing")
    if effect.reach is None:
        return TableCell("–", _why_no_reach(effect, summary.style), "missing wordy")
    counted = summary.illustration and not summary.style
    above = effect.photos_above if counted else None
    small = range_or_bounds(effect.reach, effect.per_photo_reach, above)
    return TableCell(number(effect.reach.estimate), small)


def _why_no_reach(effect: Effect, style: Style | None) -> str:
    if effect.effect is None:
        return "no placebo to compare with"
    if style:
        end = style.end(effect.transform, effect.metric)
        return (end and end.reason) or "no base model to compare with"
    if effect.ceiling is None:
        return "no gray picture's edit to compare with"
    return "a gray picture moves edits no further than noise"


def _retention(effect: Effect | None, transform: str, summary: Summary) -> TableCell:
    if effect is None:
        return TableCell("–", "not measured", "missing")
    if transform == "none" and _has_shares(effect, summary):
        return TableCell("100\u00a0%", "by definition", "missing")
    if effect.retention is None:
        return TableCell("–", effect.retention_reason, "missing wordy")
    retention = effect.retention
    if retention.low is None or retention.high is None:
        why = "" if summary.illustration else bounds(retention)
        return TableCell(percent(retention.estimate), why, "wordy")
    return TableCell(percent(retention.estimate), bounds(retention, per_hundred=True))


def _has_shares(effect: Effect, summary: Summary) -> bool:
    """Whether an untransformed effect is enough for shares of it: those of some transform stand."""
    return any(
        one.retention is not None
        and (one.arm, one.editor, one.metric) == (effect.arm, effect.editor, effect.metric)
        for one in summary.effects
    )


def _effect_word(verdict: Verdict | None, transform: str, summary: Summary) -> TableCell:
    if verdict:
        # What the other transforms leave stands in their own rows.
        word = verdict.label.partition("; ")[0]
        return TableCell(word or verdict.word, "", _style(verdict.word))
    if transform == "none":
        return TableCell("–", "the reference", "missing")
    return TableCell("no verdict" if summary.illustration else "exploratory", "", "missing")


def _style(word: str) -> str:
    return "word-" + word.replace(" ", "-")


def _n(effect: Effect | None, usable: Iterable[Usable | None]) -> TableCell:
    judged = [found for found in usable if found]
    photos = effect.n if effect else max((found.n for found in judged), default=0)
    rows = effect.rows if effect else max((found.rows for found in judged), default=0)
    small = count(rows, "edit")
    if effect and effect.dropped:
        small += f", {effect.dropped} left out"
    return TableCell(str(photos), small)

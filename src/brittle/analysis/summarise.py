"""From rows to the summary: everything that a trial found, in one pass."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import product

import numpy as np

from brittle.analysis.checks import check_evidence, check_learning, check_scales, check_scores
from brittle.analysis.comparisons import compare
from brittle.analysis.effects import EXPLORATORY_ALPHA, Effects, choose_placebo
from brittle.analysis.equal_distortion import compare_fairly
from brittle.analysis.evidence import Evidence
from brittle.analysis.half_life import half_life, ladders
from brittle.analysis.headline import headline
from brittle.analysis.phrases import ABOUT, COVERS_GROUPS, count, scope_statement
from brittle.analysis.style import style_headline, style_section, unit_words
from brittle.analysis.summary import (
    Effect,
    Flag,
    HalfLife,
    Missing,
    Outcome,
    Placebo,
    Scope,
    Style,
    Summary,
    TransformCost,
    Usable,
    Verdict,
    WorstCase,
)
from brittle.analysis.table import NO_GROUPS, Mask, Table
from brittle.analysis.usable import UsableEdits, transform_cost
from brittle.analysis.verdicts import Judge, needed_for_attacker
from brittle.analysis.worst_case import Search
from brittle.declaration.primary import Primary
from brittle.errors import UserError
from brittle.record.arms import ORIGINAL, Arm
from brittle.record.rows import Row

NO_EVIDENCE = Evidence()


def summarise(
    rows: Iterable[Row],
    primary: Primary,
    *,
    scope: Scope,
    arms: Iterable[Arm] = (),
    groups: Mapping[str, str] = NO_GROUPS,
    evidence: Evidence = NO_EVIDENCE,
) -> Summary:
    """Draw all conclusions from a trial's scores.

    Args:
        rows: the rows of ``results.csv``, in any order.
        primary: what the trial declared before it ran.
        scope: which model made the edits; its statement is filled in where it is empty.
        arms: what each label stands for; of others the label itself tells.
        groups: by photo, the group of photos that belong together, which intervals then count.
        evidence: what the record knows about how the files were made.

    Raises:
        UserError: no rows, contradicting rows, or a declaration that names what isn't there.

    """
    table = Table(rows, arms, groups)
    primary = fill_in(primary, table)
    return _Summariser(table, primary, scope, evidence).summary()


def fill_in(primary: Primary, table: Table) -> Primary:
    """Name the arms and the editor where the declaration left them open; check those it names.

    Where nothing but ``none`` was tried, that is what gets a verdict. Repeats of a fine-tune count
    as one editor.

    Raises:
        UserError: several editors and none named, or a name that has no rows.

    """
    editors = table.names("editor")
    named = None if table.learned else primary.editor
    if named is None and len(editors) > 1:
        raise UserError(f"The trial has {len(editors)} editors: primary must name one of them.")
    editor = named or editors[0]
    if editor not in editors:
        raise UserError(f"primary names the editor {editor!r}; the trial has {', '.join(editors)}.")
    for arm in primary.arms:
        if arm not in table.protections:
            known = ", ".join(table.protections) or "none"
            raise UserError(f"primary names the arm {arm!r}; the trial's protections are {known}.")
    filled = {"arms": primary.arms or table.protections, "editor": editor}
    if table.names("transform") == ("none",):
        filled["transforms"] = ("none",)
    return primary.model_copy(update=filled)


class _Summariser:
    def __init__(self, table: Table, primary: Primary, scope: Scope, evidence: Evidence) -> None:
        self.table, self.primary, self.evidence = table, primary, evidence
        self.editor = primary.editor or ""
        self.arms = table.protections
        self.transforms = table.names("transform")
        self.placebo: Placebo = choose_placebo(
            table, arms=primary.arms, editor=self.editor, metric=primary.metric
        )
        self.usable = {
            editor: UsableEdits(
                table,
                editor=editor,
                thresholds=evidence.usable_from if editor == self.editor else None,
            )
            for editor in table.names("editor")
        }
        self.effects = {
            (editor, metric): Effects(table, editor=editor, metric=metric)
            for editor in table.names("editor")
            for metric in self._metrics()
        }
        self.main = self._main()
        self.main_usable = self.usable[self.editor]
        self.n = table.unit.count(self._with_numbers())
        few = f"an illustration on {count(self.n, table.unit.name)}"
        self.illustration = few if self.n < table.unit.enough else ""
        covered = COVERS_GROUPS if table.unit.members else ABOUT
        about = unit_words(table.sampling) if table.learned else self.illustration or covered
        statement = scope.statement or scope_statement(scope, about)
        prompts = self._prompts() if scope.prompts is None else scope.prompts
        self.scope = scope.model_copy(update={"statement": statement, "prompts": prompts})

    def _main(self) -> Effects:
        """The effects in the primary metric."""
        metric = self.primary.metric
        if (self.editor, metric) in self.effects:
            return self.effects[self.editor, metric]
        reasons = self.table.reasons_of(f"{metric}.distance", self.editor)
        why = f" ({reasons[0]})" if reasons else ""
        found = ", ".join(self._metrics()) or "none"
        raise UserError(
            f"The primary metric {metric!r} has no distances{why}; the trial has {found}."
        )

    def summary(self) -> Summary:
        effects, style = list(self._effect_records()), self._style()
        flags = tuple(self._flags(effects, style))
        verdicts, outcomes = self._verdicts(flags)
        worst_cases = tuple(self._worst_cases())
        return Summary(
            scope=self.scope,
            n_photos=int(self._with_numbers().sum()),
            n_groups=self.n if self.table.unit.members else 0,
            photos=self.table.units,
            illustration=bool(self.illustration),
            illustration_words=self.illustration,
            primary=self.primary,
            comparisons_tested=0 if self.table.learned else self.primary.tests,
            alpha_each=EXPLORATORY_ALPHA if self.table.learned else self.primary.alpha_each,
            placebo=self.placebo,
            headline=(
                style_headline(style, self.primary.metric, self.scope.statement)
                if style
                else headline(self.main, self.main_usable, self.primary, self.scope, worst_cases)
            ),
            verdicts=tuple(verdicts),
            outcomes=tuple(outcomes),
            effects=tuple(effects),
            usable=tuple(self._usable_records()),
            usable_reason=self.main_usable.reason,
            thresholds=self._thresholds(),
            transform_costs=tuple(self._costs()),
            half_lives=tuple(self._half_lives()),
            comparisons=tuple(compare(self.main, self.main_usable, self.primary)),
            worst_cases=worst_cases,
            fair=(
                None
                if self.table.learned
                else compare_fairly(self.main, self.main_usable, self.primary)
            ),
            flags=flags,
            missing=self._missing(),
            style=style,
        )

    def _thresholds(self) -> str:
        known = self.evidence.usable_from
        if known is None or self.main_usable.reason:
            return ""
        photos = count(known.photos, "photo")
        if set(known.errors) == set(known.least):
            return f"Intervals of usable shares allow for thresholds that come from {photos}."
        return (
            f"Intervals of usable shares don't allow for the thresholds, which come from {photos}: "
            "their calibration doesn't say how unsure they are."
        )

    def _prompts(self) -> int:
        """How many prompts the edits were made with that decide."""
        blocks = (self.main.block(arm, "none").asked.any(0) for arm in self.table.compared)
        points = np.array(self.table.points, dtype=object)[np.logical_or.reduce(list(blocks))]
        return len({prompt for _, prompt, _ in points})

    def _metrics(self) -> tuple[str, ...]:
        """The metrics with distances; over collections, those with numbers."""
        names = self.table.names("metric", reference=self.table.reference)
        return tuple(
            name.removesuffix(".distance")
            for name in names
            if name.endswith(".distance") and (not self.table.learned or self.table.scored(name))
        )

    def _declared(self, arm: str, transform: str) -> bool:
        """Whether an arm under a transform decides a verdict, and so has its level."""
        declared = arm in self.primary.arms and transform in ("none", *self.primary.transforms)
        return declared and not self.table.learned

    def _effect_records(self) -> Iterator[Effect]:
        for effects in self.effects.values():
            for arm, transform in product(self.arms, self.transforms):
                declared = effects is self.main and self._declared(arm, transform)
                alpha = self.primary.alpha_each if declared else EXPLORATORY_ALPHA
                if record := effects.record(arm, transform, alpha=alpha, primary=declared):
                    yield record

    def _usable_records(self) -> Iterator[Usable]:
        judged = self.table.names("arm", reference="photo")
        arms = [arm for arm in judged if self.table.arms[arm].kind != "ceiling"]
        for editor, usable in self.usable.items():
            for arm, transform in product(arms, self.transforms):
                decides = self._declared(arm, transform) or (
                    arm == ORIGINAL and transform in self.primary.transforms
                )
                declared = editor == self.editor and decides
                alpha = self.primary.alpha_each if declared else EXPLORATORY_ALPHA
                if record := usable.record(arm, transform, alpha=alpha, primary=declared):
                    yield record

    def _verdicts(self, flags: tuple[Flag, ...]) -> tuple[list[Verdict], list[Outcome]]:
        if self.table.learned:  # few collections say nothing about artists
            return [], []
        judge = Judge(
            self.main,
            self.main_usable,
            self.primary,
            flags=flags,
            scope=self.scope.statement,
            not_edited=self.evidence.not_edited,
        )
        return judge.verdicts()

    def _style(self) -> Style | None:
        if not self.table.learned:
            return None
        effects = sorted(self.effects.values(), key=lambda one: one is not self.main)
        declared = ("none", *self.primary.transforms)
        order = [transform for transform in declared if transform in self.transforms]
        return style_section(effects, self.arms, list(dict.fromkeys([*order, *self.transforms])))

    def _costs(self) -> Iterator[TransformCost]:
        metric = self.primary.metric
        for usable, transform in product(self.usable.values(), self.transforms):
            if transform != "none":
                cost = transform_cost(
                    self.table, usable, transform, metric=metric, alpha=EXPLORATORY_ALPHA
                )
                if cost:
                    yield cost

    def _half_lives(self) -> Iterator[HalfLife]:
        if self.placebo.chosen is None or self.table.learned:
            return
        codecs, bits = self.evidence.codecs, self.evidence.bits_a_pixel
        for arm in self.primary.arms:
            for ladder, rungs in ladders(self.transforms).items():
                details = codecs.get(ladder[0], {})
                if life := half_life(self.main, arm, ladder, rungs, details, bits):
                    yield life

    def _worst_cases(self) -> Iterator[WorstCase]:
        tried = len(self.transforms) > 1 and "none" in self.transforms
        if not tried or self.placebo.chosen is None or self.table.learned:
            return
        thresholds = self.evidence.usable_from
        search = Search(self.main, self.main_usable, self.transforms, thresholds)
        yield from search.worst_cases(self.primary.arms)

    def _flags(self, effects: list[Effect], style: Style | None) -> Iterator[Flag]:
        if style is not None:
            yield from check_learning(
                one for one in style.ends if one.metric == self.primary.metric
            )
        else:
            yield from check_scores(self.main, self.main_usable, self.primary.arms)
            yield from check_scales(self._shares(effects))
        yield from check_evidence(self.evidence)

    def _shares(self, effects: list[Effect]) -> dict[tuple[str, str], dict[str, float]]:
        """The share that is left by arm and transform, in each metric."""
        shares: dict[tuple[str, str], dict[str, float]] = {}
        for effect in effects:
            if effect.retention and effect.editor == self.editor:
                by_metric = shares.setdefault((effect.arm, effect.transform), {})
                by_metric[effect.metric] = effect.retention.estimate
        return shares

    def _with_numbers(self) -> Mask:
        """Which rows have an effect without a transform in some primary arm, or else any score."""
        masks = [self.main.contrast(arm, "none").known for arm in self.primary.arms]
        there: Mask = np.logical_or.reduce(masks) if masks else np.zeros(0, bool)
        return there if there.any() else np.ones(len(self.table.units), bool)

    def _missing(self) -> Missing:
        blocks = [
            self.main.block(arm, transform)
            for transform in self.transforms
            for arm in {
                self.table.ceiling,
                *self.primary.arms,
                *(
                    label
                    for of in self.primary.arms
                    for label in self.main.placebos(of, transform).values()
                ),
            }
        ]
        cells = sum(int(block.asked.sum()) for block in blocks)
        missing = sum(int((block.asked & ~np.isfinite(block.values)).sum()) for block in blocks)
        dropped = sum(
            self.main.contrast(arm, transform).dropped
            for arm, transform in product(self.primary.arms, self.transforms)
        )
        unjudged = [
            self.main_usable.lacking(needed_for_attacker(self.main, arm, transform))
            for arm, transform in product(self.primary.arms, self.transforms)
        ]
        return Missing(
            cells=cells,
            missing=missing,
            share=missing / cells if cells else 0.0,
            dropped=dropped,
            judged=sum(asked for _, asked in unjudged),
            unjudged=sum(lacking for lacking, _ in unjudged),
            reasons=dict(sorted(self.table.reasons.items())),
        )

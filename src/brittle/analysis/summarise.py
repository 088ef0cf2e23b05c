"""From rows to the summary: everything that a trial found, in one pass."""

from collections.abc import Iterable
from itertools import product

import numpy as np

from brittle.analysis.checks import check_evidence, check_scales, check_scores
from brittle.analysis.comparisons import compare
from brittle.analysis.effects import EXPLORATORY_ALPHA, Effects, choose_placebo
from brittle.analysis.equal_distortion import compare_fairly
from brittle.analysis.evidence import Evidence
from brittle.analysis.half_life import half_life, ladders
from brittle.analysis.headline import headline
from brittle.analysis.phrases import ABOUT, count, scope_statement
from brittle.analysis.summary import (
    MIN_PHOTOS,
    Effect,
    Flag,
    HalfLife,
    Missing,
    Placebo,
    Scope,
    Summary,
    TransformCost,
    Usable,
    WorstCase,
)
from brittle.analysis.table import Table
from brittle.analysis.usable import UsableEdits, transform_cost
from brittle.analysis.verdicts import Judge
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
    evidence: Evidence = NO_EVIDENCE,
    usable_invalid: str = "",
) -> Summary:
    """Draw all conclusions from a trial's scores.

    Args:
        rows: the rows of ``results.csv``, in any order.
        primary: what the trial declared before it ran.
        scope: which model made the edits; its statement is filled in where it is empty.
        arms: what each label stands for; of others the label itself tells.
        evidence: what the record knows about how the files were made.
        usable_invalid: why usable may not be judged, if the calibration says so.

    Raises:
        UserError: no rows, contradicting rows, or a declaration that names what isn't there.

    """
    table = Table(rows, arms)
    primary = fill_in(primary, table)
    return _Summariser(table, primary, scope, evidence, usable_invalid).summary()


def fill_in(primary: Primary, table: Table) -> Primary:
    """Name the arms and the editor where the declaration left them open; check those it names.

    Where nothing but ``none`` was tried, that is what gets a verdict.

    Raises:
        UserError: several editors and none named, or a name that has no rows.

    """
    protections = table.protections
    editors = table.names("editor")
    if primary.editor is None and len(editors) > 1:
        raise UserError(f"The trial has {len(editors)} editors: primary must name one of them.")
    editor = primary.editor or editors[0]
    if editor not in editors:
        raise UserError(f"primary names the editor {editor!r}; the trial has {', '.join(editors)}.")
    for arm in primary.arms:
        if arm not in protections:
            known = ", ".join(protections) or "none"
            raise UserError(f"primary names the arm {arm!r}; the trial's protections are {known}.")
    filled = {"arms": primary.arms or protections, "editor": editor}
    if table.names("transform") == ("none",):
        filled["transforms"] = ("none",)
    return primary.model_copy(update=filled)


class _Summariser:
    def __init__(
        self, table: Table, primary: Primary, scope: Scope, evidence: Evidence, invalid: str
    ) -> None:
        self.table, self.primary, self.scope, self.evidence = table, primary, scope, evidence
        self.editor = primary.editor or ""
        self.arms = table.protections
        self.transforms = table.names("transform")
        self.placebo: Placebo = choose_placebo(
            table, arms=primary.arms, editor=self.editor, metric=primary.metric
        )
        self.usable = {
            editor: UsableEdits(table, editor=editor, invalid=invalid)
            for editor in table.names("editor")
        }
        self.effects = {
            (editor, metric): Effects(table, editor=editor, metric=metric, kind=self.placebo.chosen)
            for editor in table.names("editor")
            for metric in self._metrics()
        }
        if (self.editor, primary.metric) not in self.effects:
            found = ", ".join(self._metrics()) or "none"
            raise UserError(
                f"The primary metric {primary.metric!r} has no distances against the control; "
                f"the trial has {found}."
            )
        self.main = self.effects[self.editor, primary.metric]
        self.alpha = primary.alpha / max(len(primary.arms) * len(primary.transforms), 1)
        self.n = self._photos_with_numbers()
        few = f"an illustration on {count(self.n, 'photo')}"
        self.illustration = few if self.n < MIN_PHOTOS else ""
        if not scope.statement:
            statement = scope_statement(scope, self.illustration or ABOUT)
            self.scope = scope.model_copy(update={"statement": statement})

    def summary(self) -> Summary:
        effects, usable = self._effect_records(), self._usable_records()
        main_usable = self.usable[self.editor]
        flags = self._flags(effects)
        judge = Judge(self.main, main_usable, self.primary, flags=flags, scope=self.scope.statement)
        verdicts, outcomes = judge.verdicts()
        return Summary(
            scope=self.scope,
            n_photos=self.n,
            photos=self.table.photos,
            illustration=bool(self.illustration),
            illustration_words=self.illustration,
            primary=self.primary,
            comparisons_tested=len(self.primary.arms) * len(self.primary.transforms),
            alpha_each=self.alpha,
            placebo=self.placebo,
            headline=headline(self.main, main_usable, self.primary, self.scope.statement),
            verdicts=tuple(verdicts),
            outcomes=tuple(outcomes),
            effects=tuple(effects),
            usable=tuple(usable),
            usable_reason=main_usable.reason,
            transform_costs=tuple(self._costs()),
            half_lives=tuple(self._half_lives()),
            comparisons=tuple(compare(self.main, main_usable, self.primary)),
            worst_cases=tuple(self._worst_cases()),
            fair=compare_fairly(self.main, main_usable, self.primary),
            flags=tuple(flags),
            missing=self._missing(),
        )

    def _metrics(self) -> tuple[str, ...]:
        return tuple(
            name.removesuffix(".distance")
            for name in self.table.names("metric", reference="control")
            if name.endswith(".distance")
        )

    def _declared(self, arm: str, transform: str) -> bool:
        """Whether an arm under a transform decides a verdict, and so has its level."""
        return arm in self.primary.arms and transform in ("none", *self.primary.transforms)

    def _effect_records(self) -> list[Effect]:
        records = []
        for effects in self.effects.values():
            for arm, transform in product(self.arms, self.transforms):
                declared = effects is self.main and self._declared(arm, transform)
                alpha = self.alpha if declared else EXPLORATORY_ALPHA
                records.append(effects.record(arm, transform, alpha=alpha, primary=declared))
        return [record for record in records if record]

    def _usable_records(self) -> list[Usable]:
        records = []
        judged = self.table.names("arm", reference="photo")
        arms = [arm for arm in judged if self.table.arms[arm].kind != "ceiling"]
        for editor, usable in self.usable.items():
            for arm, transform in product(arms, self.transforms):
                decides = self._declared(arm, transform) or (
                    arm == ORIGINAL and transform in self.primary.transforms
                )
                declared = editor == self.editor and decides
                alpha = self.alpha if declared else EXPLORATORY_ALPHA
                records.append(usable.record(arm, transform, alpha=alpha, primary=declared))
        return [record for record in records if record]

    def _costs(self) -> list[TransformCost]:
        found = [
            transform_cost(
                self.table, usable, transform, metric=self.primary.metric, alpha=EXPLORATORY_ALPHA
            )
            for usable in self.usable.values()
            for transform in self.transforms
            if transform != "none"
        ]
        return [cost for cost in found if cost]

    def _half_lives(self) -> list[HalfLife]:
        if self.placebo.chosen is None:
            return []
        codecs, bits = self.evidence.codecs, self.evidence.bits_a_pixel
        found = [
            half_life(self.main, arm, ladder, rungs, codecs.get(ladder[0], {}), bits)
            for arm in self.primary.arms
            for ladder, rungs in ladders(self.transforms).items()
        ]
        return [life for life in found if life]

    def _worst_cases(self) -> list[WorstCase]:
        after = [transform for transform in self.transforms if transform != "none"]
        if not after or self.placebo.chosen is None:
            return []
        search = Search(self.main, self.usable[self.editor], after)
        return list(search.worst_cases(self.primary.arms))

    def _flags(self, effects: list[Effect]) -> list[Flag]:
        shares: dict[tuple[str, str], dict[str, float]] = {}
        for effect in effects:
            if effect.retention and effect.editor == self.editor:
                by_metric = shares.setdefault((effect.arm, effect.transform), {})
                by_metric[effect.metric] = effect.retention.estimate
        return [
            *check_scores(self.main, self.usable[self.editor], self.primary.arms),
            *check_scales(shares),
            *check_evidence(self.evidence),
        ]

    def _photos_with_numbers(self) -> int:
        """Photos that have an effect without a transform in some primary arm, or any score."""
        masks = [self.main.contrast(arm, "none").photos for arm in self.primary.arms]
        there = np.logical_or.reduce(masks) if masks else np.zeros(0, bool)
        return int(there.sum()) or len(self.table.photos)

    def _missing(self) -> Missing:
        cells = missing = 0
        placebos = map(self.main.placebo, self.primary.arms)
        for arm in {self.table.ceiling, *self.primary.arms, *placebos}:
            for transform in self.transforms:
                block = self.main.block(arm, transform)
                cells += int(block.asked.sum())
                missing += int((block.asked & ~np.isfinite(block.values)).sum())
        dropped = sum(
            self.main.contrast(arm, transform).dropped
            for arm in self.primary.arms
            for transform in self.transforms
        )
        return Missing(
            cells=cells,
            missing=missing,
            share=missing / cells if cells else 0.0,
            dropped=dropped,
            reasons=dict(sorted(self.table.reasons.items())),
        )

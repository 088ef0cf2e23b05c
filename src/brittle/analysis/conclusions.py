"""From a trial's record to its summary."""

from brittle.analysis.agreement import agreement, kept_marks
from brittle.analysis.checks import check_evidence
from brittle.analysis.evidence import evidence_of
from brittle.analysis.mimicry import summarise_mimicry
from brittle.analysis.mimicry_summary import MimicrySummary
from brittle.analysis.phrases import count, scope_statement
from brittle.analysis.summarise import summarise
from brittle.analysis.summary import Scope, Summary
from brittle.record.manifest import Manifest
from brittle.record.record import Record


def summarise_record(record: Record) -> Summary | MimicrySummary:
    """Draw all conclusions from a trial's record.

    Raises:
        UserError: as `summarise`; a person's marks that can't be read.
    """
    manifest, evidence = record.manifest, evidence_of(record)
    if manifest.collections:
        pictures = {one.name: len(one.pictures) for one in manifest.collections}
        about = f"{count(len(pictures), 'collection')}, {count(sum(pictures.values()), 'picture')}"
        scope = _scope(manifest)
        return summarise_mimicry(
            record.rows,
            scope=scope.model_copy(update={"statement": scope_statement(scope, about)}),
            metric=manifest.primary.metric,
            placebos=manifest.trial.resolved["placebos"],
            protections=manifest.protections,
            transforms=[one.label for one in manifest.transforms],
            pictures=pictures,
            flags=tuple(check_evidence(evidence)),
        )
    summary = summarise(
        record.rows,
        manifest.primary,
        scope=_scope(manifest),
        arms=manifest.arms,
        evidence=evidence,
    )
    marks = {} if record.directory is None else kept_marks(record.directory)
    return summary.model_copy(update={"agreement": agreement(record.rows, marks)})


def _scope(manifest: Manifest) -> Scope:
    return Scope(
        model=manifest.model.name,
        models=(manifest.model.name,),
        resolution=manifest.model.size,
        # A trial's protections are optimised on its one model, which also edits.
        white_box=None if manifest.made else True,
    )

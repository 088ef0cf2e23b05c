"""From a trial's record to its summary."""

from brittle.analysis.agreement import agreement, kept_marks
from brittle.analysis.evidence import evidence_of
from brittle.analysis.phrases import count, scope_statement
from brittle.analysis.summarise import summarise
from brittle.analysis.summary import Scope, Summary
from brittle.record.manifest import Manifest
from brittle.record.record import Record


def summarise_record(record: Record) -> Summary:
    """Draw all conclusions from a trial's record.

    Raises:
        UserError: as `summarise`; a person's marks that can't be read.
    """
    manifest = record.manifest
    summary = summarise(
        record.rows,
        manifest.primary,
        scope=_scope(manifest),
        arms=manifest.arms,
        evidence=evidence_of(record),
    )
    marks = {} if record.directory is None else kept_marks(record.directory)
    return summary.model_copy(update={"agreement": agreement(record.rows, marks)})


def _scope(manifest: Manifest) -> Scope:
    scope = Scope(
        model=manifest.model.name,
        models=(manifest.model.name,),
        resolution=manifest.model.size,
        # A trial's protections are optimised on its one model, which also edits.
        white_box=None if manifest.made else True,
    )
    if not manifest.collections:
        return scope
    pictures = sum(len(one.pictures) for one in manifest.collections)
    about = f"{count(len(manifest.collections), 'collection')}, {count(pictures, 'picture')}"
    return scope.model_copy(update={"statement": scope_statement(scope, about)})

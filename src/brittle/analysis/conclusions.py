"""From a trial's record to its summary."""

from collections.abc import Sequence

from brittle.analysis.agreement import agreement, kept_marks
from brittle.analysis.evidence import evidence_of
from brittle.analysis.phrases import count, scope_statement
from brittle.analysis.summarise import summarise
from brittle.analysis.summary import Scope, Summary
from brittle.errors import UserError
from brittle.record.arms import Arm
from brittle.record.manifest import Manifest
from brittle.record.record import Record


def summarise_record(record: Record) -> Summary:
    """Draw all conclusions from a trial's record.

    Raises:
        UserError: as `summarise`; a person's marks that can't be read.
    """
    manifest = record.manifest
    arms = [arm.model_copy(update={"white_box": white_box(arm, manifest)}) for arm in manifest.arms]
    summary = summarise(
        record.rows,
        manifest.primary,
        scope=_scope(manifest, arms),
        arms=arms,
        groups=manifest.groups,
        evidence=evidence_of(record),
    )
    marks = {} if record.directory is None else kept_marks(record.directory)
    return summary.model_copy(update={"agreement": agreement(record.rows, marks, manifest.groups)})


def white_box(arm: Arm, manifest: Manifest) -> bool | None:
    """Whether a protection was optimised on the model that edits; None: not known.

    Of a folder of a former version it is what the arm's component says today.
    """
    from brittle.protections import Protection

    if manifest.made or arm.kind != "protection":
        return None
    if arm.white_box is not None or arm.record is None:
        return arm.white_box
    try:
        return Protection.from_record(arm.record).optimised_on(manifest.model.name)
    except UserError:  # a plugin that is not installed here
        return None


def _scope(manifest: Manifest, arms: Sequence[Arm]) -> Scope:
    said = {arm.white_box for arm in arms if arm.kind == "protection"}
    scope = Scope(
        model=manifest.model.name,
        models=(manifest.model.name, *(one.name for one in manifest.models)),
        resolution=manifest.model.size,
        white_box=said.pop() if len(said) == 1 else None,
    )
    if not manifest.collections:
        return scope
    pictures = sum(len(one.pictures) for one in manifest.collections)
    about = f"{count(len(manifest.collections), 'collection')}, {count(pictures, 'picture')}"
    return scope.model_copy(update={"statement": scope_statement(scope, about)})

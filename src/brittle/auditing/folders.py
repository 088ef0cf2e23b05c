"""Over many photos: the intervals and verdicts that trials have, from the audits' numbers."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean

from brittle.analysis import summarise
from brittle.analysis.effects import EXPLORATORY_ALPHA, Effects
from brittle.analysis.evidence import Evidence
from brittle.analysis.phrases import transform_name
from brittle.analysis.randomization_test import together
from brittle.analysis.summary import MIN_PHOTOS, Effect, Summary
from brittle.analysis.table import Table
from brittle.auditing import answers as words
from brittle.auditing.document import Answer, ModelResult, ModelScope, PhotoAudit
from brittle.auditing.work import ENCODER
from brittle.auditing.work import PROTECTED as ARM
from brittle.declaration.primary import MAX_PRIMARY_TRANSFORMS, Primary
from brittle.record.arms import placebo_label
from brittle.record.rows import Row


def over_photos(scope: ModelScope, photos: Sequence[PhotoAudit]) -> ModelScope:
    """The scope with what was found over all photos on its model."""
    model = scope.scope.model
    found = [
        (photo.name, result)
        for photo in photos
        for result in photo.results
        if result.model == model
    ]
    latents: tuple[Effect, ...] = ()
    summary = None
    reduced = _reduced_first([result for _, result in found])
    found = [(name, _named_alike(result, reduced)) for name, result in found]
    p = _together([result for _, result in found]) if len(found) > 1 else None
    size = scope.scope.resolution or 0
    larger = sum(photo.protected.long_side > size for photo in photos if photo.results)
    answer = words.together([result for _, result in found], scope.scope, p, larger)
    if len(found) >= MIN_PHOTOS:
        latents = _latents(found)
        summary = _summary(scope, found) if scope.edits else None
        answer += words.verdicts(summary, latents) if summary else words.shifts(latents)
    return scope.model_copy(
        update={"latents": latents, "summary": summary, "answer": answer, "p": p}
    )


def _together(results: Sequence[ModelResult]) -> float:
    """How likely noise lies as far as all the files together, without a transform."""
    none = [result.deciding[0] for result in results]
    return together([(one.distance, _first(one)) for one in none])


def _first(one: Answer) -> dict[str, tuple[float, ...]]:
    """The draws that were made whatever they showed, by their kind."""
    return {kind: of[: one.drawn_first] for kind, of in one.placebos.items()}


def _reduced_first(results: Sequence[ModelResult]) -> dict[str, int]:
    """Transforms before which any photo was reduced, and the largest long side of one then."""
    found: dict[str, int] = {}
    for result in results:
        side = max(result.width, result.height)
        for one in result.comparisons:
            if one.reduced_first:
                found[one.transform] = max(side, found.get(one.transform, 0))
    return found


def _named_alike(result: ModelResult, reduced: Mapping[str, int]) -> ModelResult:
    """The result with transforms named by what they were, for all photos.

    Where any photo was reduced before a transform, all go by that name: those that are no larger
    than the model's size, or so little that it hides next to nothing, stay as they are.
    """

    def named(one: Answer) -> Answer:
        if one.transform not in reduced:
            return one
        text = f"resize:long_side={reduced[one.transform]},back=false+{one.transform}"
        return one.model_copy(update={"transform": text, "name": transform_name(text)})

    return result.model_copy(update={"comparisons": tuple(map(named, result.comparisons))})


def _latents(found: Sequence[tuple[str, ModelResult]]) -> tuple[Effect, ...]:
    """Effects on latents carry intervals and never a verdict: protections optimise them."""
    rows = [
        row
        for name, result in found
        for one in result.seen_as("latents")
        for row in _rows(name, one, ENCODER)
    ]
    effects = Effects(Table(rows), editor=ENCODER, metric="latent")
    records = [
        effects.record(ARM, one.transform, alpha=EXPLORATORY_ALPHA, primary=False)
        for one in found[0][1].seen_as("latents")
    ]
    return tuple(record for record in records if record)


def _summary(scope: ModelScope, found: Sequence[tuple[str, ModelResult]]) -> Summary:
    """A trial's summary of the edits."""
    transforms = [one.transform for one in found[0][1].seen_as("edits")]
    usual = [one for one in transforms if one.endswith(Primary().transforms)]
    declared = (usual or transforms[1:] or transforms)[:MAX_PRIMARY_TRANSFORMS]
    rows = [
        row
        for name, result in found
        for one in result.seen_as("edits")
        for row in _rows(name, one, scope.editor)
    ]
    primary = Primary(metric=scope.metric, transforms=tuple(declared))
    seen = [one.transform for one in found[0][1].seen_as("latents")]
    not_edited = tuple(one for one in seen if one not in transforms)
    return summarise(rows, primary, scope=scope.scope, evidence=Evidence(not_edited=not_edited))


def _rows(name: str, one: Answer, editor: str) -> list[Row]:
    """One comparison as a trial's rows: prompts and draws are averaged within the photo."""
    placebos = {placebo_label(kind, ARM): mean(of) for kind, of in _first(one).items()}
    distances = {ARM: one.distance, "gray": one.ceiling, **placebos}
    rows = [
        Row(name, arm, one.transform, editor, "", 0, f"{one.metric}.distance", "control", value)
        for arm, value in distances.items()
    ]
    if one.seen == "edits":
        rows += _usable_rows(name, placebos, one, editor)
    return rows


def _usable_rows(name: str, placebos: Iterable[str], one: Answer, editor: str) -> list[Row]:
    """Usable edits, one row a prompt; placebos' rows hold the share over all draws of all kinds."""
    counts = one.usable
    if counts is None:
        point = (name, ARM, one.transform, editor, "", 0)
        return [Row(*point, "usable", "photo", None, one.usable_reason)]
    values = {
        "original": [float(at < counts.original) for at in range(counts.edits)],
        ARM: [float(at < counts.protected) for at in range(counts.edits)],
        **dict.fromkeys(placebos, [counts.placebos / counts.placebo_edits] * counts.edits),
    }
    return [
        Row(name, arm, one.transform, editor, "", at, "usable", "photo", value)
        for arm, shares in values.items()
        for at, value in enumerate(shares)
    ]

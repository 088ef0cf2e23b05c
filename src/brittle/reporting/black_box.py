"""White-box beside black-box: what files reach on the model they were made on, and on others."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from brittle.analysis.conclusions import white_box
from brittle.analysis.finished import Finished
from brittle.auditing.answers import joined
from brittle.record.manifest import ComponentEntry, Manifest
from brittle.reporting.formatting import transform_name
from brittle.reporting.tables import TableCell, reach_cell


@dataclass(frozen=True)
class BlackBox:
    """A trial's table over models: reach in the primary metric."""

    answer: tuple[str, ...]
    """A sentence for each protection."""
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[TableCell, ...]], ...]
    """Protection, transform, and a cell for each editor."""
    sentence: str


def black_box(trial: Finished) -> BlackBox | None:
    """What the editors of several models leave of each protection; None for one model's trial."""
    manifest = trial.manifest
    if not manifest.models:
        return None
    editors = [one.label for one in manifest.editors]
    names = dict(zip(editors, _short(manifest.editors), strict=True))
    known = trial.summary.scope.white_box
    others = {label for one in manifest.models for label in one.editors}
    edited = {one.transform for one in trial.summary.effects if one.editor in others}
    declared = dict.fromkeys(("none", *trial.summary.primary.transforms))
    transforms = [one for one in declared if one in edited]
    return BlackBox(
        answer=tuple(_sentence(trial, arm, names) for arm in trial.protections),
        title="White-box beside black-box: reach on each model",
        columns=(
            *("Protection", "Transform"),
            *(f"{names[label]} ({_kind(trial.manifest, label, known)})" for label in editors),
        ),
        rows=tuple(
            (arm, transform_name(one), tuple(_reach(trial, arm, one, label) for label in editors))
            for arm in trial.protections
            for one in transforms
        ),
        sentence=(
            "Reach: how much further than noise of its size a file moves the edits of each editor, "
            "as a share of what a gray picture does there, with a 95 % interval from eight photos "
            f"on. Transforms that run a model ran {manifest.model.name}."
        ),
    )


def _short(editors: tuple[ComponentEntry, ...]) -> Iterator[str]:
    """Editors without their settings, where that tells them apart."""
    short = [_without_settings(one) for one in editors]
    times = Counter(short)
    for one, name in zip(editors, short, strict=True):
        yield name if times[name] == 1 else one.label


def _without_settings(one: ComponentEntry) -> str:
    on = one.label.rpartition(" on ")
    return f"{one.name} on {on[2]}" if on[1] else one.name


def _kind(manifest: Manifest, editor: str, known: bool | None) -> str:
    """How well a protection knew the model that runs an editor; ``known``: it was made on ours."""
    other = next((one for one in manifest.models if editor in one.editors), None)
    if other is None:
        return "white-box" if known else manifest.model.name
    behind = "the same encoder" if other.same_encoder else "another encoder"
    return f"black-box behind {behind}" if known else f"behind {behind}"


def _sentence(trial: Finished, arm: str, names: dict[str, str]) -> str:
    manifest = trial.manifest
    known = white_box(manifest.arm(arm), manifest)
    about = f"{arm} was made on {manifest.model.name}" if known else arm
    found = [
        f"{_reach(trial, arm, 'none', label).short} in {names[label]} "
        f"({_kind(manifest, label, known)})"
        for label in names
    ]
    return (
        f"{about}: without a transform it reaches {joined(found)}. 0 is like noise of its size, 1 "
        "like a gray picture."
    )


def _reach(trial: Finished, arm: str, transform: str, editor: str) -> TableCell:
    return reach_cell(trial.summary.effect(arm, transform, editor=editor), trial.summary)

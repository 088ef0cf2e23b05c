"""The demo: the trial of demo.yaml, run as large as a few minutes allow."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from brittle.component import unknown
from brittle.data import Data
from brittle.declaration.trial import Trial, load_trial, make_trial
from brittle.errors import UserError
from brittle.models import EditModel, load_model
from brittle.progress import Progress, duration, silent
from brittle.record.record import Record
from brittle.record.store import FolderStore
from brittle.safe_yaml import read_yaml
from brittle.sources.photos import load_photos
from brittle.trial.cost import count, stage_seconds
from brittle.trial.plan import make_plan
from brittle.trial.run import run, run_plan
from brittle.trial.tasks import Plan

TRIAL = Path(__file__).with_name("demo.yaml")
START_SECONDS = 25
"""Imports, the report, and whatever else the estimate of the work leaves out."""
SMALL = 128
"""The squares, in pixels, of a machine on which even the smallest demo would take too long."""


class Variants(Data):
    """What the demo may change in its trial: transforms to leave out, fields for other editors."""

    leave_out: tuple[str, ...]
    editors: dict[str, dict[str, Any]]


VARIANTS = Variants.model_validate(
    read_yaml(TRIAL.with_name("demo-variants.yaml").read_text(encoding="utf-8"))
)


def declared(photos: Path | None = None, editor: str = "img2img", size: int | None = None) -> Trial:
    """The whole demo: with other photos, another editor, squares of another side in pixels.

    Raises:
        UserError: an editor that the demo doesn't have.
    """
    if editor not in VARIANTS.editors:
        raise UserError(unknown("editor of the demo", editor, VARIANTS.editors))
    changes = dict(VARIANTS.editors[editor])
    if photos is not None:
        changes["photos"] = str(photos)
    if size is not None:
        changes |= {"square": size, "size": size}
    return make_trial(load_trial(TRIAL).model_dump(exclude_unset=True) | changes, TRIAL.name)


def run_demo(
    directory: Path,
    photos: Path | None = None,
    *,
    minutes: float = 6,
    editor: str = "img2img",
    size: int | None = None,
    say: Callable[[str], None] = lambda text: None,
    progress: Progress = silent,
) -> Record | None:
    """Run the demo into a folder, as large as ``minutes`` allow here; `say` what was left out.

    A folder that holds a demo already keeps the trial that it was begun with.

    Raises:
        UserError: photos or an editor that can't be used, a folder that holds something else.
    """
    trial = declared(photos, editor, size)
    found = FolderStore(directory).manifest
    if found is not None and found.title == trial.title:
        begun = found.trial.trial.model_copy(update={"photos": trial.photos})
        for note in found.notes:
            say(note)
        return run(begun, directory, notes=found.notes, say=say, progress=progress)
    plan, model, notes = _fitting([trial] if size else [trial, *_small(trial)], minutes)
    for note in notes:
        say(note)
    return run_plan(plan, model, directory, notes=notes, say=say, progress=progress)


def _small(trial: Trial) -> Iterator[Trial]:
    """The trial in small squares, if that is smaller."""
    if (trial.square or trial.size or 0) > SMALL:
        yield trial.model_copy(update={"square": SMALL, "size": SMALL})


def _fitting(trials: Sequence[Trial], minutes: float) -> tuple[Plan, EditModel, list[str]]:
    """The first of the trials of which a part fits in the time, or the last one's smallest part.

    Its plan, the model that it is for, and what to say of it.
    """
    for trial in trials:
        read = load_photos(trial.photos, square=trial.square, mask=trial.mask)
        model = load_model(trial.model, size=trial.size)
        plan = make_plan(trial, read, model)
        part, seconds = _largest_part(plan, model, minutes)
        if seconds <= 60 * minutes:
            break
    notes = [*_notes(part, trial, trials[0], minutes, seconds)]
    return plan if part == trial else make_plan(part, read, model), model, notes


def _largest_part(plan: Plan, model: EditModel, minutes: float) -> tuple[Trial, float]:
    """The largest of the plan's smaller trials that fits in the time, or the smallest; its seconds.

    Protections take as long in each of them; the rest goes with the number of edits.
    """
    stages = stage_seconds(plan, model, count(plan, model))
    protecting = sum(stages.get(arm, 0) for arm in plan.protections)
    an_edit = (sum(stages.values()) - protecting) / len(plan.edits)
    for trial in _smaller(plan.trial):
        seconds = START_SECONDS + protecting + an_edit * edits_of(trial, plan)
        if seconds <= 60 * minutes:
            break
    return trial, seconds


def _notes(
    part: Trial, whole: Trial, declared: Trial, minutes: float, seconds: float
) -> Iterator[str]:
    """What to say of a part of the whole demo, which may be smaller than it was declared."""
    near = f"To stay near {minutes:g} min on this machine, the demo"
    if whole.square != declared.square:
        yield f"{near} works on squares of {whole.square} px instead of {declared.square}."
    left_out = [
        *_missing(part.prompts, whole.prompts),
        *_missing(part.transforms, whole.transforms),
    ]
    if left_out:
        yield f"{near} left out {', '.join(left_out)}."
    if seconds > 60 * minutes and duration(seconds) != duration(60 * minutes):
        yield (
            f"--minutes {minutes:g} is too few: on this machine the demo takes at least about "
            f"{duration(seconds)}."
        )


def _smaller(trial: Trial) -> Iterator[Trial]:
    """The trial, then with one prompt or one transform less each time, down to what must stay."""
    yield trial
    while len(trial.prompts) > 1:
        trial = trial.model_copy(update={"prompts": trial.prompts[:-1]})
        yield trial
    for transform in VARIANTS.leave_out:
        kept = tuple(one for one in trial.transforms if one != transform)
        trial = trial.model_copy(update={"transforms": kept})
        yield trial


def edits_of(trial: Trial, plan: Plan) -> int:
    """How many of a plan's edits a smaller trial has."""
    cells = [
        cell
        for cell in plan.cells
        if cell.prompt in trial.prompts and cell.transform in trial.transforms
    ]
    return len({key for cell in cells for key in (cell.edit, *cell.floor)})


def _missing(kept: tuple[str, ...], all_of: tuple[str, ...]) -> list[str]:
    return [one for one in all_of if one not in kept]

"""What a worker does: one parcel after another, with the pictures that were sent along."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from brittle.decoding import Levels
from brittle.errors import UserError, out_of_memory
from brittle.images import levels_from_png, png_from_levels
from brittle.models import EditModel
from brittle.progress import silent
from brittle.record.store import FINE_TUNES, FolderStore, Store
from brittle.trial import scoring, stages
from brittle.trial.behind import behind
from brittle.trial.fits import OutOfMemory, Part
from brittle.trial.parcels import Inputs, Parcel
from brittle.trial.tasks import Plan


class Made(NamedTuple):
    """Something that a worker made: a picture's PNG file, a note, a cell's scores, or another file.

    ``key`` is of such a file its path in the folder.
    """

    kind: Literal["picture", "note", "cell", "file"]
    key: str
    data: Any


@dataclass(frozen=True)
class Failure:
    """Why a parcel could not be done; ``part`` is where memory ran out, if it did."""

    text: str
    part: Part | None = None
    user: bool = False
    """Whether the text is for a user."""

    def raised(self) -> Exception:
        """As the exception that it was."""
        if self.part is not None:
            return OutOfMemory(self.part)
        return UserError(self.text) if self.user else RuntimeError(self.text)


Outcome = list[Made] | Failure


class Carried(Store):
    """The pictures that came with a parcel, and in ``made`` what its worker adds, in order.

    ``scratch`` is a folder of the worker's own, where models learn.
    """

    def __init__(self, inputs: Inputs, scratch: Path) -> None:
        self.directory = scratch
        self.made: list[Made] = []
        self._files = dict(inputs.pictures)
        self._cells = inputs.cells

    def has(self, key: str) -> bool:
        """As `Store.has`."""
        return key in self._files

    def read_levels(self, key: str) -> Levels:
        """As `Store.read_levels`."""
        return levels_from_png(self._files[key])

    def write_levels(self, key: str, levels: Levels) -> None:
        """As `Store.write_levels`."""
        self._files[key] = png_from_levels(levels)
        self.made.append(Made("picture", key, self._files[key]))

    def write_note(self, key: str, note: dict[str, Any]) -> None:
        """As `Store.write_note`."""
        self.made.append(Made("note", key, note))

    def read_cell(self, key: str) -> dict[str, Any]:
        """As `Store.read_cell`."""
        return self._cells.get(key, {})

    def write_cell(self, key: str, cell: dict[str, Any]) -> None:
        """As `Store.write_cell`."""
        self.made.append(Made("cell", key, cell))


def shell_of(plan: Plan) -> Plan:
    """What workers know of a plan from the start: its components, without work and photos."""
    work: Mapping[str, Any] = {"releases": {}, "receptions": {}, "learnings": {}, "edits": {}}
    photos: Mapping[str, Any] = {"photos": {}, "given": {}, "references": {}}
    return replace(plan, cells=[], **work, **photos)


def do(shell: Plan, model: EditModel, parcel: Parcel, inputs: Inputs, scratch: Path) -> Outcome:
    """Do a parcel of the plan that a shell is of; never raises what a parcel can cause."""
    subjects = {cell.subject for cell in parcel.cells} or {*shell.subjects}
    plan = replace(
        shell,
        subjects={name: shell.subjects[name] for name in subjects},
        references=inputs.references,
        photos=inputs.photos,
        given=inputs.given,
        releases={one.key: one for one in parcel.releases},
        receptions={one.key: one for one in parcel.receptions},
        learnings={one.key: one for one in parcel.learnings},
        edits={one.key: one for one in parcel.edits},
        cells=list(parcel.cells),
    )
    store, before = Carried(inputs, scratch), _files(scratch)
    try:
        _compute(plan, store, model, parcel)
    except OutOfMemory as error:
        return Failure(str(error), part=error.part)
    except UserError as error:
        return Failure(str(error), user=True)
    except Exception as error:
        if out_of_memory(error):
            return Failure("Memory ran out on a worker: use smaller photos or a dtype.", user=True)
        return Failure(traceback.format_exc())
    learned = sorted(_files(scratch) - before)
    return [*(Made("file", name, (scratch / name).read_bytes()) for name in learned), *store.made]


def _files(scratch: Path) -> set[str]:
    """What was learned in a folder, and the pictures of a class, by their paths in it."""
    found = (path for path in (scratch / FINE_TUNES).rglob("*") if path.is_file())
    return {path.relative_to(scratch).as_posix() for path in found if path.suffix != ".tmp"}


def _compute(plan: Plan, store: Store, model: EditModel, parcel: Parcel) -> None:
    if parcel.stage == "scores":
        return scoring.score(plan, store, model)
    with behind(store) as writing:
        if parcel.stage in ("protections", "placebos"):
            stages.release(plan, writing, model, silent)
        elif parcel.stage == "fine-tunes":
            stages.learn_and_generate(plan, writing, model, silent, lambda key: None)
        elif parcel.stage == "edits":
            stages.edit(plan, writing, model, silent, lambda key: None)
        else:
            stages.receive_by_model(plan, writing, model, silent)
    if parcel.stage == "transforms":
        with stages.receiving(plan, store, model, silent, alone=True):
            pass


def keep(store: FolderStore, made: list[Made]) -> None:
    """Write down what a worker made, in its order."""
    for kind, key, data in made:
        if kind == "picture":
            store.write_png(key, data)
        elif kind == "note":
            store.write_note(key, data)
        elif kind == "cell":
            store.write_cell(key, data)
        else:
            store.write_file(key, data)

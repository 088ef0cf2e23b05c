"""Running a trial: reads what it needs, makes its plan, runs the stages, gathers the results."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from brittle.declaration.trial import Trial
from brittle.errors import UserError
from brittle.models import EditModel, load_model
from brittle.progress import Progress, silent
from brittle.record.manifest import Manifest
from brittle.record.record import IndexEntry, Record, index_json
from brittle.record.rows import format_results
from brittle.record.store import INDEX, RESULTS, FolderStore, dump
from brittle.sources.photos import read_photos
from brittle.trial.fits import check_memory
from brittle.trial.manifest import manifest
from brittle.trial.plan import make_plan
from brittle.trial.results import index, rows
from brittle.trial.stages import compute
from brittle.trial.tasks import Plan


def run(
    trial: Trial,
    directory: Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    shard: tuple[int, int] = (1, 1),
    notes: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
    progress: Progress = silent,
) -> Record | None:
    """Run a trial into a folder, or go on where a run into that folder stopped.

    With ``shard`` (i, n) only every n-th subject's work is done, and no table is written: shards
    may run anywhere on one folder, and a last run without ``shard`` gathers them. Files that are
    damaged are made again, and ``say`` is told.

    Raises:
        UserError: a photo, model or component that can't be used; a folder with another trial.
    """
    found = FolderStore(directory).manifest
    if found is not None:
        # A batch that had to be halved for memory stays halved: it is part of every result.
        trial = trial.model_copy(update={"batch": found.batch})
    photos = read_photos(trial)
    model = load_model(trial.model, size=trial.size, device=device, dtype=dtype)
    plan = make_plan(trial, photos, model, shard=shard)
    return run_plan(plan, model, directory, shard=shard, notes=notes, say=say, progress=progress)


def run_plan(
    plan: Plan,
    model: EditModel,
    directory: Path,
    *,
    shard: tuple[int, int] = (1, 1),
    notes: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
    progress: Progress = silent,
) -> Record | None:
    """As `run`, of a trial whose photos were read and whose work was laid out."""
    store = FolderStore(directory)
    check_memory(plan, model, store.has)
    with store.at_work():
        while True:
            claimed = store.open(manifest(plan, model, notes))
            try:
                compute(plan, store, model, progress)
                break
            except (MemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                if plan.batch == 1:
                    raise UserError(
                        "One edit does not fit into memory: use smaller photos (`square`) or "
                        "--dtype."
                    ) from None
                halved = plan.trial.model_copy(update={"batch": plan.batch // 2})
                notes = (*notes, f"Out of memory: the batch was halved to {halved.batch}.")
                plan = make_plan(halved, plan.photos, model, shard=shard)
        for sentence in store.mended():
            say(sentence)
        claimed = store.add_notes(claimed, store.mended())
        return gather(plan, store, claimed, index(plan)) if shard == (1, 1) else None


def gather(
    plan: Plan, store: FolderStore, manifest: Manifest, index: Sequence[IndexEntry]
) -> Record:
    """Write a folder's table and index, and return its record."""
    record = Record(store.directory, manifest, rows(plan, store), index)
    made = {
        RESULTS: format_results(record.rows).encode(),
        INDEX: dump(index_json(record.index)),
    }
    return replace(record, manifest=store.write_results(manifest, made))


def _out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, on a GPU or on the CPU, where torch raises a plain RuntimeError."""
    known = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    return known or "allocate memory" in str(error)

"""Running a trial: reads what it needs, makes its plan, runs the stages, gathers the results."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from brittle.declaration.trial import Trial
from brittle.errors import UserError, out_of_memory
from brittle.models import EditModel
from brittle.progress import Progress, overall, silent
from brittle.record.begun import as_begun
from brittle.record.manifest import Manifest
from brittle.record.record import IndexEntry, Record, index_json
from brittle.record.rows import Row, StoredRows, in_one_table
from brittle.record.store import INDEX, RESULTS, FolderStore, dump_list
from brittle.sources.photos import read_photos
from brittle.trial.cost import count, stage_seconds
from brittle.trial.executors import Pool, compute_on
from brittle.trial.fits import OutOfMemory, Part, check_memory
from brittle.trial.manifest import manifest
from brittle.trial.on_ray import Cluster, models_on, on_cluster
from brittle.trial.other_models import Work, lay_out_others, models_of
from brittle.trial.plan import in_parts, lay_out, with_rows
from brittle.trial.results import index, rows
from brittle.trial.stages import compute, lacking
from brittle.trial.tasks import Plan

SMALLER = "use smaller photos (`square`), a smaller `size`, or --dtype"


def run(
    trial: Trial,
    directory: Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    shard: tuple[int, int] = (1, 1),
    continue_on_this_device: bool = False,
    cluster: Cluster | None = None,
    notes: Sequence[str] = (),
    lenders: Sequence[Path] = (),
    say: Callable[[str], None] = lambda text: None,
    progress: Progress = silent,
) -> Record | None:
    """Run a trial into a folder, or go on where a run into that folder stopped.

    With ``shard`` (i, n) only every n-th subject's work is done, and no table is written: shards
    may run anywhere on one folder, and a last run without ``shard`` gathers them. Files that are
    damaged are made again, and ``say`` is told. ``continue_on_this_device``: on another kind of
    device than the folder was begun on. With ``cluster`` its workers do all of the work. Of
    ``lenders``, folders of other trials, pictures and scores are taken where they are the same.

    Raises:
        UserError: a photo, model or component that can't be used; a folder with another trial; no
            such cluster, or no room in it.
    """
    found = FolderStore(directory).begun(trial)
    if found is not None:
        trial = as_begun(trial, found)
    photos = read_photos(trial)
    with ExitStack() as cleanup:
        pool = None
        if cluster is None:
            model, *others = models_of(trial, device=device, dtype=dtype)
        else:
            pool = cleanup.enter_context(on_cluster(trial, cluster, device=device, dtype=dtype))
            model, *others = models_on(trial, pool.about())
        plan = lay_out(trial, photos, model)
        return run_plan(
            plan,
            model,
            directory,
            others=lay_out_others(plan, others),
            pool=pool,
            shard=shard,
            continue_on_this_device=continue_on_this_device,
            notes=notes,
            lenders=lenders,
            say=say,
            progress=progress,
        )


def run_plan(
    plan: Plan,
    model: EditModel,
    directory: Path,
    *,
    others: Sequence[Work] = (),
    pool: Pool | None = None,
    shard: tuple[int, int] = (1, 1),
    continue_on_this_device: bool = False,
    notes: Sequence[str] = (),
    lenders: Sequence[Path] = (),
    say: Callable[[str], None] = lambda text: None,
    progress: Progress = silent,
) -> Record | None:
    """As `run`, of a trial whose photos were read and that was laid out, with its work or without.

    ``others``: the plans of the trial's other models, which follow, one model in memory at a time.
    With a ``pool`` its workers do the work, and models compute nothing.
    """
    store = FolderStore(directory, lenders=lenders)
    works = _as_begun([(plan, model), *others], store)
    if pool is None:
        for one, its_model in works:
            for some in in_parts(one, shard):
                check_memory(some, its_model, store.has)
    with store.at_work():
        while True:
            said = manifest(*works[0], notes, others=works[1:])
            said = said.model_copy(update={"sharded": shard != (1, 1)})
            claimed = store.open(said, continue_on_this_device=continue_on_this_device)
            try:
                for at_work in works:
                    _do(*at_work, store, pool, shard, progress)
                    if len(works) > 1:
                        at_work[1].release()
                break
            except OutOfMemory as error:
                part = error.part
            except (MemoryError, RuntimeError) as error:
                if out_of_memory(error):
                    raise UserError(f"Memory ran out: {SMALLER}.") from None
                raise
            works, note = _with_fewer_rows(works, at_work[0], part, claimed)
            notes = (*notes, note)
        for sentence in store.mended():
            say(sentence)
        claimed = store.add_notes(claimed, store.mended())
        if shard != (1, 1):
            return None
        parts = (some for one, _ in works for some in in_parts(one))
        return gather(parts, store, claimed)


def _do(
    plan: Plan,
    model: EditModel,
    store: FolderStore,
    pool: Pool | None,
    shard: tuple[int, int],
    progress: Progress,
) -> None:
    """Do what a folder lacks of a plan."""
    for some in in_parts(plan, shard):
        if pool is not None:
            compute_on(pool, some, store, model, progress)
        else:
            with _overall(some, store, model, progress) as shown:
                compute(some, store, model, shown)


@contextmanager
def _overall(
    plan: Plan, store: FolderStore, model: EditModel, progress: Progress
) -> Iterator[Progress]:
    """Progress over all stages, by what is still to do and how long that takes here."""
    if progress is silent:  # nobody looks: nothing is measured
        yield progress
        return
    with progress("timing", 1):
        try:
            to_do = count(lacking(plan, store, model), model)
            weights = stage_seconds(plan, model, to_do, roughly=True)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            weights = {}  # the stages then take fewer rows a call
    with overall(progress, weights) as shown:
        yield shown


def _as_begun(works: list[Work], store: FolderStore) -> list[Work]:
    """The plans with as many rows a call as the folder was begun with: they are part of keys."""
    found = store.begun(works[0][0].trial)
    if found is None:
        return works
    batches = {other.content_hash: other.batch for other in found.models}
    batch, together = found.rows
    return [
        (_with_rows(plan, batches.get(plan.model.content_hash, batch), together), model)
        for plan, model in works
    ]


def _with_rows(plan: Plan, batch: int, together: int) -> Plan:
    same = (plan.batch, plan.together) == (batch, together)
    return plan if same else with_rows(plan, batch, together)


def _with_fewer_rows(
    works: list[Work], plan: Plan, part: Part, claimed: Manifest
) -> tuple[list[Work], str]:
    """The plans, with half as many rows in calls of the one that memory ran out in; what to say.

    Raises:
        UserError: there is one row, or shards have to keep to what the folder was begun with.
    """
    batch, together = plan.batch, plan.together or plan.batch
    if part == "edits":
        rows, one, batch = batch, "edit", batch // 2
        on = "" if plan.makes_files else f" on {plan.model.name}"
        note = f"Out of memory: the batch{on} was halved to {batch}."
    else:
        rows, one = max(map(plan.rows, plan.photos)), "protected photo"
        together = rows // 2
        note = f"Out of memory: protections take {together} of {rows} photos a call."
    if rows == 1:
        raise UserError(f"One {one} does not fit into memory: {SMALLER}.")
    if claimed.sharded:
        raise UserError(
            f"{rows} {one}s a call don't fit into this memory. Shards keep to the rows that their "
            "folder was begun with, or one would void what others did: run this one where "
            f"more memory is free, or begin another folder with --set batch={rows // 2}."
        )
    fewer = [
        (with_rows(each, batch if each is plan else each.batch, together), model)
        for each, model in works
    ]
    return fewer, note


def gather(
    parts: Iterable[Plan],
    store: FolderStore,
    manifest: Manifest,
    entries: Callable[[Plan], Iterable[IndexEntry]] = index,
) -> Record:
    """Write a folder's table and index, and return its record; of a plan in one part or more.

    ``entries`` gives a part's own of the index. Scores of one part are in memory at a time.
    """
    pictures: list[IndexEntry] = []

    def scores() -> Iterator[Iterator[Row]]:
        for some in parts:
            pictures.extend(entries(some))
            yield rows(some, store)

    with in_one_table(scores(), store.directory) as lines:
        made = {RESULTS: map(str.encode, lines), INDEX: dump_list(index_json(pictures))}
        manifest = store.write_results(manifest, made)
    return Record(store.directory, manifest, StoredRows(store.directory / RESULTS), pictures)

"""The runner: computes what a plan still lacks, stage by stage, and keeps each piece at once.

Model calls have one fixed shape: a short batch is filled up with its last row. On a CPU a row's
bytes depend on the batch's shape, but neither on its neighbours nor on their order, so a result
does not depend on what was done before a kill.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brittle.declaration.trial import Trial
from brittle.errors import UserError
from brittle.images import digest
from brittle.models import EditModel, load_model
from brittle.progress import Progress, silent
from brittle.protections import Trace
from brittle.record.arms import GRAY, ORIGINAL
from brittle.record.rows import format_results
from brittle.record.store import Store
from brittle.trial import painting
from brittle.trial.collections import CollectionPlan, check_memory, lay_out, read_photos
from brittle.trial.manifest import manifest
from brittle.trial.results import index, rows
from brittle.trial.scoring import score
from brittle.trial.work import Plan, Reception, Release


def run(
    trial: Trial,
    directory: Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    shard: tuple[int, int] = (1, 1),
    notes: Sequence[str] = (),
    progress: Progress = silent,
) -> Store:
    """Run a trial into a folder, or go on where a run into that folder stopped.

    With ``shard`` (i, n) only every n-th photo's work is done, and no table is written: shards may
    run anywhere on one folder, and a last run without ``shard`` gathers them.

    Raises:
        UserError: a photo, model or component that can't be used; a folder with another trial.
    """
    found = Store(directory).manifest
    if found is not None:
        # A batch that had to be halved for memory stays halved: it is part of every result.
        trial = trial.model_copy(update={"batch": found["batch"]})
    photos = read_photos(trial)
    model = load_model(trial.model, size=trial.size, device=device, dtype=dtype)
    plan = lay_out(trial, photos, model, shard=shard)
    return run_plan(plan, model, directory, shard=shard, notes=notes, progress=progress)


def run_plan(
    plan: Plan,
    model: EditModel,
    directory: Path,
    *,
    shard: tuple[int, int] = (1, 1),
    notes: Sequence[str] = (),
    progress: Progress = silent,
) -> Store:
    """As `run`, of a trial whose photos were read and whose work was laid out."""
    store = Store(directory)
    while True:
        check_memory(plan, model, store.has)
        store.open(manifest(plan, model, notes))
        try:
            compute(plan, store, model, progress)
            break
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            if plan.batch == 1:
                raise UserError(
                    "One edit does not fit into memory: use smaller photos (`square`) or --dtype."
                ) from None
            halved = plan.trial.model_copy(update={"batch": plan.batch // 2})
            notes = (*notes, f"Out of memory: the batch was halved to {halved.batch}.")
            plan = lay_out(halved, plan.photos, model, shard=shard)
    if shard == (1, 1):
        store.write_file("results.csv", format_results(rows(plan, store)).encode())
        store.write_json("index.json", index(plan, store))
    return store


def compute(plan: Plan, store: Store, model: EditModel, progress: Progress) -> None:
    """All stages of a plan, each skipping what the store has."""
    release(plan, store, model, progress)
    purify(plan, store, model, progress)
    if isinstance(plan, CollectionPlan):
        with receiving(plan, store, progress) as wait_for:
            painting.paint(plan, store, model, progress, wait_for)
        painting.score(plan, store, model, progress)
    else:
        with receiving(plan, store, progress) as wait_for:
            edit(plan, store, model, progress, wait_for)
        score(plan, store, model, progress)


def release(plan: Plan, store: Store, model: EditModel, progress: Progress) -> None:
    """Make the files that each arm publishes: protections in batches, then their placebos."""
    for photo in plan.photos.values():
        if photo.mask is not None and photo.mask_key is not None and not store.has(photo.mask_key):
            store.write(photo.mask_key, photo.mask.expand(1, 3, -1, -1))
    missing = [one for one in plan.releases.values() if not store.has(one.key)]
    for one in missing:
        if one.arm in (ORIGINAL, GRAY):
            photo = plan.photos[one.photo].image
            store.write(one.key, photo if one.arm == ORIGINAL else gray_like(photo))
    for arm, protection in plan.protections.items():
        batches = _together(plan, arm, [one for one in missing if one.arm == arm])
        if batches:
            with progress(arm, len(batches) * protection.total_steps) as advance:
                for batch in batches:
                    _protect(plan, store, model, batch, Trace(on_step=lambda *_: advance(1)))
    for one in missing:
        if one.of is not None:
            placebo = plan.placebos[one.arm]
            original = plan.photos[one.photo].image
            drawn = placebo.draw(original, store.read(one.of), seeds=[one.seed])
            store.write(one.key, drawn)


def _together(plan: Plan, arm: str, missing: list[Release]) -> list[list[Release]]:
    """The releases that are made in one call: of one shape, or all of a collection."""
    if not plan.protections[arm].needs_collection:
        return _alike(plan, missing)
    collections = dict.fromkeys(plan.neighbours(one.photo) for one in missing)
    mine = [one for one in plan.releases.values() if one.arm == arm]
    return [[one for one in mine if one.photo in names] for names in collections]


def _alike(plan: Plan, releases: list[Release]) -> list[list[Release]]:
    """Releases in batches of photos of one shape."""
    groups = defaultdict(list)
    for one in releases:
        groups[plan.photos[one.photo].image.shape].append(one)
    return [
        group[start : start + rows]
        for group in groups.values()
        for rows in [plan.rows(group[0].photo)]
        for start in range(0, len(group), rows)
    ]


def _protect(
    plan: Plan, store: Store, model: EditModel, batch: list[Release], trace: Trace
) -> None:
    protection = plan.protections[batch[0].arm]
    filled = batch
    if not protection.needs_collection:
        filled = fill(batch, plan.rows(batch[0].photo))
    photos = [plan.photos[one.photo] for one in filled]
    images = [photo.image for photo in photos]
    masks = [photo.mask for photo in photos if photo.mask is not None]
    seeds = [one.seed for one in filled]
    protected = protection.together(model, images, masks=masks or None, seeds=seeds, trace=trace)
    told = trace.summary() or [{}] * len(filled)
    for one, image, optimised, more in zip(batch, images, protected, told, strict=False):
        used = float(protection.budget.spent(image, optimised)) / protection.budget.radius
        of = {"budget_used": used, "digest": digest(optimised)}
        store.write_trace(one.key, {**more, **of})
        store.write(one.key, optimised)


def purify(plan: Plan, store: Store, model: EditModel, progress: Progress) -> None:
    """Pass released files through the transforms that run the model, one after another."""
    missing = [
        one
        for one in plan.receptions.values()
        if plan.transforms[one.transform].capabilities.needs_model and not store.has(one.key)
    ]
    if not missing:
        return
    with progress("purifiers", len(missing)) as advance:
        for one in missing:
            image = store.read(one.release)
            received = plan.transforms[one.transform].apply(image, seeds=[one.seed], model=model)
            store.write(one.key, received)
            advance(1)


@contextmanager
def receiving(plan: Plan, store: Store, progress: Progress) -> Iterator[Callable[[str], None]]:
    """Pass released files through the other transforms, as in the world, beside other work.

    Threads do it, since codecs don't hold Python's lock; what is yielded waits for one key. If
    anything fails or is interrupted, what has begun is finished and the rest is not begun.
    """
    missing = [one for one in plan.receptions.values() if not store.has(one.key)]
    if not missing:
        yield lambda key: None
        return

    def pass_through(one: Reception) -> None:
        levels = store.read_levels(one.release)
        received = plan.transforms[one.transform].on_levels(levels, seed=one.seed)
        store.write_levels(one.key, received)
        advance(1)

    with progress("transforms", len(missing)) as advance:
        pool = ThreadPoolExecutor(os.cpu_count())
        try:
            arriving = {one.key: pool.submit(pass_through, one) for one in missing}
            yield lambda key: arriving[key].result() if key in arriving else None
            for one in arriving.values():
                one.result()
        finally:
            pool.shutdown(cancel_futures=True)


def edit(
    plan: Plan,
    store: Store,
    model: EditModel,
    progress: Progress,
    wait_for: Callable[[str], None],
) -> None:
    """Edit received files in batches of one shape, those of different arms and prompts together."""
    missing = [one for one in plan.edits.values() if not store.has(one.key)]
    if not missing:
        return
    size = plan.batch
    with progress("edits", len(missing)) as advance:
        waiting = defaultdict(list)
        for one in missing:
            wait_for(one.reception)
            image = store.read(one.reception)
            waiting[one.editor, image.shape].append((one, image))
            for key in [key for key, batch in waiting.items() if len(batch) == size]:
                advance(_edit(plan, store, model, key[0], waiting.pop(key)))
        for (editor, _), batch in waiting.items():
            advance(_edit(plan, store, model, editor, batch))


def _edit(plan: Plan, store: Store, model: EditModel, editor: str, batch: list[Any]) -> int:
    filled = fill(batch, plan.batch)
    needs_mask = plan.editors[editor].needs_mask
    edited = plan.editors[editor].edit(
        model,
        torch.cat([image for _, image in filled]),
        prompts=[one.prompt for one, _ in filled],
        mask=torch.cat([plan.received_mask(one) for one, _ in filled]) if needs_mask else None,
        seeds=[one.seed for one, _ in filled],
    )
    for row, (one, _) in enumerate(batch):
        store.write(one.key, edited[row : row + 1])
    return len(batch)


def fill(batch: list[Any], size: int) -> list[Any]:
    """A batch filled up to its fixed shape with its last row."""
    return batch + [batch[-1]] * (size - len(batch))


def gray_like(image: Tensor) -> Tensor:
    """A gray picture of the same size, on the 8-bit grid: what a perfect protection leaves."""
    return torch.full_like(image, 128 / 255)


def _out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, on a GPU or on the CPU, where torch raises a plain RuntimeError."""
    known = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    return known or "allocate memory" in str(error)

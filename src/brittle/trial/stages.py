"""The stages: each computes what a plan still lacks, and keeps each piece at once.

Model calls have one fixed shape: a short batch is filled up with its last row. On a CPU a row's
bytes depend on the batch's shape, but neither on its neighbours nor on their order, so a result
does not depend on what was done before a kill.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cache, partial
from itertools import zip_longest
from threading import Condition, Event
from typing import Any

import numpy as np
import torch
from torch import Tensor

from brittle.decoding import Levels
from brittle.editors import FineTune, Identity
from brittle.images import digest, from_bytes, quantise, to_bytes
from brittle.models import EditModel
from brittle.parallel import cores, threads_for
from brittle.progress import Progress, silent
from brittle.protections import Trace
from brittle.record.arms import ORIGINAL
from brittle.record.store import FINE_TUNES, Store
from brittle.transforms import Jpeg
from brittle.trial.behind import behind
from brittle.trial.fits import told_where
from brittle.trial.scoring import lacking_cells, score
from brittle.trial.tasks import Edit, Plan, Reception, Release

WaitFor = Callable[[str], None]
Row = tuple[Edit, Tensor]
"""An edit to make, and the received picture."""
Sources = dict[tuple[str, str], list[Edit]]
"""Edits to make, by their editor and the key of what was received."""


def compute(plan: Plan, store: Store, model: EditModel, progress: Progress = silent) -> None:
    """All stages of a plan, each skipping what the store has."""
    if store.seen_only:
        plan = pending(plan, store, model)
    if plan.makes_files:
        with behind(store) as writing:
            if not store.seen_only:
                keep_masks(plan, writing)
                release(plan, writing, model, progress)
            receive_by_model(plan, writing, model, progress)
    with receiving(plan, store, model, progress) as wait_for, behind(store) as writing:
        learn_and_generate(plan, writing, model, progress, wait_for)
        edit(plan, writing, model, progress, wait_for)
    score(plan, store, model, progress)


def receive(plan: Plan, store: Store, model: EditModel, progress: Progress = silent) -> None:
    """What arrives through transforms that need no model, ahead of all other stages."""
    if store.seen_only:
        plan = pending(plan, store, model)
    with receiving(plan, store, model, progress, alone=True):
        pass


def lacking(plan: Plan, store: Store, model: EditModel) -> Plan:
    """The part of a plan that a store lacks."""
    edits = {key: one for key, one in plan.edits.items() if not store.has(key)}
    learned = {one.source for one in edits.values()}
    return replace(
        plan,
        releases={key: one for key, one in plan.releases.items() if not store.has(key)},
        receptions={key: one for key, one in plan.receptions.items() if not store.has(key)},
        learnings={key: one for key, one in plan.learnings.items() if key in learned},
        edits=edits,
        cells=lacking_cells(plan, store, model),
    )


def pending(plan: Plan, store: Store, model: EditModel) -> Plan:
    """The part of a plan whose cells lack scores, or whose edits to show are missing."""
    cells = lacking_cells(plan, store, model)
    wanted = {key for cell in cells for key in (cell.edit, cell.control, cell.clean, *cell.floor)}
    edits = {key: plan.edits[key] for key in wanted}
    sources = {one.source for one in edits.values() if not store.has(one.key)}
    receptions = {key: one for key, one in plan.receptions.items() if key in sources}
    return replace(plan, cells=cells, edits=edits, receptions=receptions)


def keep_masks(plan: Plan, store: Store) -> None:
    """Keep the photos' masks, which reports show."""
    for photo in plan.photos.values():
        if photo.mask is not None and photo.mask_key is not None and not store.has(photo.mask_key):
            store.write(photo.mask_key, photo.mask.expand(1, 3, -1, -1))


def release(plan: Plan, store: Store, model: EditModel, progress: Progress) -> None:
    """Make the files that each arm publishes: protections in batches, then their placebos."""
    missing = [one for one in plan.releases.values() if not store.has(one.key)]
    for arm, protection in plan.protections.items():
        batches = made_together(plan, arm, [one for one in missing if one.arm == arm])
        if batches:
            with progress(arm, len(batches) * protection.total_steps) as advance:
                for batch in batches:
                    _protect(plan, store, model, batch, Trace(on_step=lambda *_: advance(1)))
    for one in missing:
        if one.arm not in plan.protections:
            store.write_levels(one.key, released(plan, store, one))


def released(plan: Plan, store: Store, one: Release) -> Levels:
    """A released file as levels (H, W, 3): as the store has it, or made anew, without a model."""
    if not store.seen_only and store.has(one.key):
        return store.read_levels(one.key)
    return to_bytes(_released(plan, store, one))[0]


def _released(plan: Plan, store: Store, one: Release) -> Tensor:
    """As `released`, as an image (1, 3, H, W)."""
    if not store.seen_only and store.has(one.key):
        return store.read(one.key)
    photo = plan.photos[one.photo].image
    if (one.photo, one.arm) in plan.given:
        return plan.given[one.photo, one.arm].image
    if one.of is not None:
        like = _released(plan, store, plan.releases[one.of])
        return plan.placebos[one.arm].draw(photo, like, seeds=[one.seed])
    return photo if one.arm == ORIGINAL else gray_like(photo)


def gray_like(image: Tensor) -> Tensor:
    """A gray picture of the same size, on the 8-bit grid: what a perfect protection leaves."""
    return torch.full_like(image, 128 / 255)


def made_together(plan: Plan, arm: str, missing: list[Release]) -> list[list[Release]]:
    """The releases that are made in one call: of one shape, or all of a collection."""
    if not plan.protections[arm].needs_collection:
        return in_batches(plan, missing)
    collections = dict.fromkeys(plan.neighbours(one.photo) for one in missing)
    mine = [one for one in plan.releases.values() if one.arm == arm]
    return [[one for one in mine if one.photo in names] for names in collections]


def in_batches(plan: Plan, releases: list[Release]) -> list[list[Release]]:
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
    # A collection is protected as a whole: no fewer of its pictures would do.
    with nullcontext() if protection.needs_collection else told_where("protections"):
        protected = protection.together(
            model, images, masks=masks or None, seeds=seeds, trace=trace
        )
    told = trace.summary() or [{}] * len(filled)
    for one, image, optimised, more in zip(batch, images, protected, told, strict=False):
        used = float(protection.budget.spent(image, optimised)) / protection.budget.radius
        store.write_note(one.key, {**more, "budget_used": used, "digest": digest(optimised)})
        store.write(one.key, optimised)


def receive_by_model(plan: Plan, store: Store, model: EditModel, progress: Progress) -> None:
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
            image = _released(plan, store, plan.releases[one.release])
            start = as_seen(image, model) if one.reduced else image
            received = plan.transforms[one.transform].apply(start, seeds=[one.seed], model=model)
            start, received = to_bytes(start)[0], to_bytes(received)[0]
            _keep(plan, store, one, start, received, partial(_seen, received, model))
            advance(1)


@contextmanager
def receiving(
    plan: Plan, store: Store, model: EditModel, progress: Progress, *, alone: bool = False
) -> Iterator[WaitFor]:
    """Pass released files through the other transforms, as in the world, beside other work.

    Threads do it, each one released file after another, since codecs don't hold Python's lock; what
    is yielded waits for one key. If anything fails or is interrupted, a picture that has begun is
    finished and the rest is not begun. ``alone``: nothing is done beside, so that a thread is worth
    a core.
    """
    missing: dict[str, list[Reception]] = defaultdict(list)
    for one in plan.receptions.values():
        if not plan.transforms[one.transform].capabilities.needs_model and not store.has(one.key):
            missing[one.release].append(one)
    if not missing:
        yield lambda key: None
        return

    stopped, failures, arrival = Event(), list[BaseException](), Condition()
    waiting, to_come = iter(missing), {one.key for each in missing.values() for one in each}

    def pass_through(release: str) -> None:
        receptions = missing[release]
        image = _released(plan, store, plan.releases[release])
        # Each once, and neither where nobody wants it: a photo may have many megapixels.
        whole = cache(lambda: to_bytes(image)[0])
        seen = cache(lambda: _seen(whole(), model))
        for one in receptions:
            if stopped.is_set():
                return
            start = seen() if one.reduced else whole()
            received = plan.transforms[one.transform].on_levels(start, seed=one.seed)
            shown = seen if received is start else partial(_seen, received, model)
            _keep(plan, store, one, start, received, shown)
            with arrival:
                to_come.remove(one.key)
                arrival.notify_all()
            advance(1)

    def next_release() -> str | None:
        with arrival:
            return None if stopped.is_set() else next(waiting, None)

    def work() -> None:
        try:
            while (release := next_release()) is not None:
                pass_through(release)
        except BaseException as error:
            stopped.set()
            with arrival:
                failures.append(error)
                arrival.notify_all()

    def wait_for(key: str) -> None:
        with arrival:
            arrival.wait_for(lambda: key not in to_come or failures)
        if failures:
            raise failures[0]

    with progress("transforms", len(to_come)) as advance:
        threads = torch.get_num_threads()
        largest = max((one.image[0, 0].numel() for one in plan.photos.values()), default=1)
        at_work = min(threads_for(largest, cores()), len(missing))
        pool = ThreadPoolExecutor(
            at_work,
            initializer=torch.set_num_threads,
            initargs=(1 if alone else threads,),
        )
        try:
            for _ in range(at_work):
                pool.submit(work)
            yield wait_for
            pool.shutdown()
            if failures:
                raise failures[0]
        finally:
            stopped.set()
            pool.shutdown()
            torch.set_num_threads(threads)  # as in `on_all_cores`


def _keep(
    plan: Plan,
    store: Store,
    one: Reception,
    start: Levels,
    received: Levels,
    seen: Callable[[], Levels],
) -> None:
    """Keep a received picture, in a store for what models see as it is ``seen``, and its note."""
    if note := _noted(plan, one, start, received):
        store.write_note(one.key, note)
    store.keep_received(one.key, seen() if store.seen_only else received)


def _seen(levels: Levels, model: EditModel) -> Levels:
    """A picture (H, W, 3) reduced for the model."""
    return to_bytes(model.fit(from_bytes(levels[None])))[0]


def _noted(plan: Plan, one: Reception, start: Levels, received: Levels) -> dict[str, Any]:
    """What is worth a note: that nothing changed, and how large an unprotected photo's file is."""
    transform, note = plan.transforms[one.transform], dict[str, Any]()
    if one.transform != "none" and np.array_equal(start, received):
        note["unchanged"] = True
    if isinstance(transform, Jpeg) and plan.releases[one.release].arm == ORIGINAL:
        note["bits_a_pixel"] = transform.bits_a_pixel(start)
    return note


def as_seen(image: Tensor, model: EditModel) -> Tensor:
    """An image (1, 3, H, W) reduced for the model, on the 8-bit grid."""
    return quantise(model.fit(image))


def learn_and_generate(
    plan: Plan, store: Store, model: EditModel, progress: Progress, wait_for: WaitFor
) -> None:
    """Learn from each received subject whose pictures are missing, and generate those."""
    waiting: dict[tuple[str | None, str], list[Edit]] = defaultdict(list)
    for one in plan.edits.values():
        if plan.editors[one.editor].takes_collection and not store.has(one.key):
            waiting[one.source, one.editor].append(one)
    if not waiting:
        return
    with progress("fine-tunes", len(waiting)) as advance:
        for (learning, label), edits in waiting.items():
            editor, painter = plan.editors[label], model
            assert isinstance(editor, FineTune), "the only one that takes collections"
            if learning is not None:
                painter = _learn(plan, store, model, editor, learning, progress, wait_for)
            pictures = editor.generate(
                painter,
                prompts=[one.prompt for one in edits],
                seeds=[one.seed for one in edits],
            )
            for one, picture in zip(edits, pictures.split(1), strict=True):
                store.write(one.key, picture)
            advance(1)


def _learn(
    plan: Plan,
    store: Store,
    model: EditModel,
    editor: FineTune,
    learning: str,
    progress: Progress,
    wait_for: WaitFor,
) -> EditModel:
    received = []
    for key in plan.learnings[learning].receptions:
        wait_for(key)
        received.append(store.read(key))
    # One bar for all fine-tunes; where one takes hours, its own is worth a line.
    shown = progress if len(plan.learnings) == 1 else silent
    assert store.directory is not None, "weights lie in a folder"
    folder = store.directory / FINE_TUNES
    return editor.learn(model, received, folder=folder, ordered=True, progress=shown)


def edit(plan: Plan, store: Store, model: EditModel, progress: Progress, wait_for: WaitFor) -> None:
    """Edit received files in batches of one shape, those of different arms and prompts together.

    As many files as a batch has rows get the first of their edits, then the second of each: so they
    are decoded once, and encoded once (`EditModel.encode`). Photos of one shape follow each other:
    so the pictures that wait for a batch to fill don't grow in number with the photos' shapes.
    """
    by_shape: dict[torch.Size | None, Sources] = defaultdict(lambda: defaultdict(list))
    for one in plan.edits.values():
        if not plan.editors[one.editor].takes_collection and not store.has(one.key):
            assert one.source is not None, "what is edited was received"
            # A worker may have no photos: what it gets in a parcel has one shape.
            photo = plan.photos.get(one.subject)
            shape = None if photo is None else photo.image.shape
            by_shape[shape][one.editor, one.source].append(one)
    if not by_shape:
        return
    total = sum(len(edits) for missing in by_shape.values() for edits in missing.values())
    with progress("edits", total) as advance:
        for missing in by_shape.values():
            for editor, batch in _calls(plan, store, missing, wait_for):
                advance(_edit(plan, store, model, editor, batch))


def _calls(
    plan: Plan, store: Store, missing: Sources, wait_for: WaitFor
) -> Iterator[tuple[str, list[Row]]]:
    """The editor and the rows of each call; transforms may give files several shapes."""
    files: dict[tuple[str, torch.Size], list[list[Row]]] = defaultdict(list)
    left: dict[tuple[str, torch.Size], list[Row]] = defaultdict(list)
    for (editor, source), edits in missing.items():
        wait_for(source)
        image = store.read(source)
        alike = files[editor, image.shape]
        alike.append([(one, image) for one in edits])
        if len(alike) == plan.batch:
            del files[editor, image.shape]
            for batch in _batches(plan, alike, left[editor, image.shape]):
                yield editor, batch
    for (editor, shape), alike in files.items():
        for batch in _batches(plan, alike, left[editor, shape]):
            yield editor, batch
    for (editor, _), rows in left.items():
        if rows:
            yield editor, rows


def _batches(plan: Plan, files: list[list[Row]], left: list[Row]) -> Iterator[list[Row]]:
    """Full batches of files' edits, the same files after one another; others are ``left``."""
    for each in zip_longest(*files):
        rows = [row for row in each if row is not None]
        if len(rows) == plan.batch:
            yield rows
            continue
        left += rows
        while len(left) >= plan.batch:
            yield left[: plan.batch]
            del left[: plan.batch]


def _edit(
    plan: Plan,
    store: Store,
    model: EditModel,
    editor: str,
    batch: Sequence[Row],
) -> int:
    filled = fill(batch, plan.batch)
    needs_mask = plan.editors[editor].needs_mask
    with told_where("edits"):
        edited = plan.editors[editor].edit(
            model,
            torch.cat([image for _, image in filled]),
            prompts=[one.prompt for one, _ in filled],
            mask=torch.cat([plan.received_mask(one) for one, _ in filled]) if needs_mask else None,
            seeds=[one.seed for one, _ in filled],
        )
    # Where nothing is meant to be edited, that it wasn't is worth no note.
    idle = plan.editors[editor].name == Identity.name
    for (one, image), levels in zip(batch, to_bytes(edited), strict=False):
        if not idle and np.array_equal(levels, to_bytes(image)[0]):
            store.write_note(one.key, {"unchanged": True})
        (store.keep_received if idle else store.write_levels)(one.key, levels)
    return len(batch)


def fill(batch: Sequence[Any], size: int) -> list[Any]:
    """A batch filled up to its fixed shape with its last row."""
    return [*batch, *[batch[-1]] * (size - len(batch))]

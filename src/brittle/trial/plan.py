"""Making the plan: every file that a trial needs, each once, and its key.

An edit that two comparisons share is one edit; a picture that a transform leaves as it is keeps its
key.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import prod
from typing import TypeVar

import torch

from brittle.component import Component, key, name_of, registry, unknown
from brittle.declaration.primary import MAX_PRIMARY_TRANSFORMS, Contrast, Primary
from brittle.declaration.trial import Trial
from brittle.editors import Editor, FineTune
from brittle.editors.sampling import Sampling
from brittle.errors import Unavailable, UserError
from brittle.metrics import Calibration, Follow, Keep, Metric, Style
from brittle.models import EditModel
from brittle.models.devices import room_for_more
from brittle.models.prompts import check_prompts
from brittle.networks.clip import clip_files
from brittle.noise import derive_seed
from brittle.protections import Placebo, Protection
from brittle.record.arms import BASE_MODEL, GRAY, ORIGINAL, Arm, placebo_label
from brittle.record.record import Point
from brittle.sources.photos import TrialPhoto, given_files
from brittle.transforms import Transform
from brittle.trial.tasks import (
    Cell,
    Edit,
    Learning,
    ModelIdentity,
    Plan,
    Reception,
    Release,
    subjects_of,
)

C = TypeVar("C", bound=Component)
CELLS = 75_000
"""About so many are planned at a time, while those before are still in memory."""
MOST_ROWS, PIXELS_A_CALL = 8, 2 * 512**2
MOST_ROWS_ON_GPU, ROW_BYTES = 32, 4096
"""A pixel of a row, of what decoding holds at a time where the autoencoder is Stable Diffusion's in
float32 (3.3 kB at 128 px, and room for kernels); `benchmarks/device_check.py` measures it."""
OF_COLLECTIONS = (Style.name, Keep.name)
"""Of style, and of a subject: the metrics of a trial over collections that names none."""


def make_plan(
    trial: Trial,
    photos: dict[str, TrialPhoto],
    model: EditModel,
    *,
    shard: tuple[int, int] = (1, 1),
    together: int | None = None,
) -> Plan:
    """Lay out the work of a trial over photos (by name) with one edit model.

    ``shard`` (i, n) keeps the work of every n-th subject, beginning with number i of 1..n.
    ``together`` is how many photos a call that protects has at most: as many as an edit's, if None.

    Raises:
        UserError: a component that is unknown or wrongly set; a CLIP that isn't there; a collection
            that can't be learned; given files that don't fit the photos.
    """
    plan = lay_out(trial, photos, model, together=together)
    return _with_work(plan, [*plan.subjects][shard[0] - 1 :: shard[1]])


def lay_out(
    trial: Trial,
    photos: dict[str, TrialPhoto],
    model: EditModel,
    *,
    together: int | None = None,
) -> Plan:
    """As `make_plan`, without the work: `in_parts` makes that."""
    plan = plan_components(trial, photos, model)
    check_clips(plan.metrics.values())
    plan.together = together or plan.batch
    return plan


def with_rows(plan: Plan, batch: int, together: int) -> Plan:
    """A plan without its work, with other numbers of rows in a call that edits or protects."""
    trial = plan.trial.model_copy(update={"batch": batch}) if plan.makes_files else plan.trial
    return replace(without_work(plan), trial=trial, batch=batch, together=together)


def without_work(plan: Plan) -> Plan:
    """A plan's components."""
    return replace(plan, releases={}, receptions={}, learnings={}, edits={}, cells=[])


def in_parts(plan: Plan, shard: tuple[int, int] = (1, 1)) -> Iterator[Plan]:
    """The work of a plan that `lay_out` gave, some subjects at a time: about `CELLS` cells.

    Parts are made when they are asked for, so that memory doesn't grow with the number of photos.
    They have all photos and the keys that the whole plan has. One that has its work is yielded.
    """
    if plan.cells:
        yield plan
        return
    subjects = [*plan.subjects][shard[0] - 1 :: shard[1]]
    trial = plan.trial
    axes = (plan.editors, trial.prompts, trial.seeds, plan.transforms, plan.arms)
    some = max(1, CELLS // prod(map(len, axes)))
    for start in range(0, len(subjects), some):
        yield _with_work(plan, subjects[start : start + some])


def _with_work(plan: Plan, subjects: Iterable[str]) -> Plan:
    """A plan with the work of some subjects."""
    plan = without_work(plan)
    trial = plan.trial
    for subject in subjects:
        for editor, prompt, seed in product(plan.editors, trial.prompts, trial.seeds):
            for transform, arm in product(plan.transforms, plan.arms):
                add_cell(plan, Point(subject, arm, transform, editor, prompt, seed))
    return plan


def plan_components(trial: Trial, photos: dict[str, TrialPhoto], model: EditModel) -> Plan:
    """A plan's components, without any work; errors as `make_plan`, but for a CLIP's."""
    editors = {str(one): one.resolve(model) for one in map(Editor.parse, trial.editors)}
    learns = check_editors(trial, editors)
    if any(isinstance(one, (Sampling, FineTune)) for one in editors.values()):
        check_prompts(model, trial.prompts)
    if learns:
        trial, editors = _over_collections(trial), _repeats(editors, trial.tuning_seeds)
    protections = {label: Protection.parse(trial.written_out(label)) for label in trial.made_arms}
    placebos = {
        placebo_label(kind, label): Placebo.from_record(
            {"name": kind, "of": protections.get(label)}
        )
        for label in trial.protection_arms
        for kind in trial.placebos
    }
    transforms = _by_text(map(Transform.parse, trial.transforms))
    for label, transform in transforms.items():
        if reason := transform.capabilities.missing:
            raise UserError(f"The trial names {label}, and {reason}.")
        transform.check(model)
        for size in {photo.image.shape[-2:] for photo in photos.values()}:
            transform.received_size(size)
    if any(editor.needs_mask for editor in editors.values()):
        _check_masks(photos, transforms, model)
    calibration, not_calibrated = calibration_of(trial.calibration, model)
    metrics = _metrics(trial, calibration if trial.calibration else None)
    plan = Plan(
        trial,
        photos,
        subjects_of(photos, learns=learns),
        ModelIdentity.of(model),
        arms=_arms(trial, model, protections, placebos, BASE_MODEL if learns else GRAY),
        protections=protections,
        placebos=placebos,
        transforms=transforms,
        editors=editors,
        metrics=metrics,
        primary=fill_primary(trial, list(transforms), metrics, [] if learns else list(editors)),
        calibration=calibration,
        not_calibrated=not_calibrated,
        batch=trial.batch or rows_a_call(model),
        given=given_files(trial, photos),
    )
    _check_learning(plan, model)
    return plan


def _check_masks(
    photos: Mapping[str, TrialPhoto], transforms: Mapping[str, Transform], model: EditModel
) -> None:
    """Refuse before the work what would end it: a mask of which nothing arrives at the editor."""
    moved = [label for label, transform in transforms.items() if transform.geometry.moves]
    still = [label for label in transforms if label not in moved][:1]
    for name, photo in photos.items():
        for label in () if photo.mask is None else (*still, *moved):
            try:
                model.fit_mask(transforms[label].geometry.move_mask(photo.mask))
            except UserError:
                after = f" after {label}" if label in moved else ""
                raise UserError(
                    f"Nothing of the mask of {name} is left{after} at the model's size: leave out "
                    f"{'the transform or ' if after else ''}the photo, or draw a larger mask."
                ) from None


def check_editors(trial: Trial, editors: Mapping[str, Editor]) -> bool:
    """Whether a trial's editors learn from collections.

    Raises:
        UserError: only some of them do; a mask or seeds that no editor uses, or one lacks; several
            models, where one would learn.
    """
    others = [Editor.parse(text) for texts in trial.models.values() for text in texts]
    collects = [editor.takes_collection for editor in (*editors.values(), *others)]
    if any(collects) and trial.models:
        raise UserError("finetune learns on the trial's own model: drop `models`.")
    if any(collects) and not all(collects):
        raise UserError("Some of the trial's editors learn from collections: give them their own.")
    if trial.tuning_seeds is not None and not any(collects):
        raise UserError("The trial has tuning_seeds and no editor that learns: drop them.")
    if trial.mask is not None and any(collects):
        raise UserError("finetune generates whole pictures: remove `mask` from the trial.")
    paints = [str(one) for one in (*map(Editor.parse, trial.editors), *others) if one.needs_mask]
    if paints and trial.mask is None:
        raise UserError(f"{paints[0]} needs masks: set `mask` to auto, alpha or a folder of them.")
    if trial.mask is not None and not paints:
        raise UserError("The trial has a mask and no editor that uses it: add inpaint, or drop it.")
    return any(collects)


def _check_learning(plan: Plan, model: EditModel) -> None:
    """Refuse collections that can't be learned."""
    for subject, editor in product(plan.subjects.values(), plan.editors.values()):
        if isinstance(editor, FineTune):
            try:
                editor.check(model, [plan.photos[name].image for name in subject.pictures])
            except UserError as error:
                raise UserError(f"{subject.name}: {error}") from None


def _over_collections(trial: Trial) -> Trial:
    """The trial with the metrics of collections, where it names none."""
    if "metrics" not in trial.model_fields_set:
        trial = trial.model_copy(update={"metrics": OF_COLLECTIONS})
    if "metric" not in trial.primary.model_fields_set:
        primary = trial.primary.model_copy(update={"metric": trial.metrics[0]})
        trial = trial.model_copy(update={"primary": primary})
    return trial


def _repeats(editors: dict[str, Editor], seeds: tuple[int, ...] | None) -> dict[str, Editor]:
    """The editors, each with every seed of the fine-tune."""
    if seeds is None:
        return editors
    return _by_text(
        editor.model_copy(update={"tuning_seed": seed})
        for editor in editors.values()
        for seed in seeds
    )


def _arms(
    trial: Trial,
    model: EditModel,
    protections: Mapping[str, Protection],
    placebos: Mapping[str, Placebo],
    ceiling: str,
) -> dict[str, Arm]:
    """All arms in order: the original, the ceiling, protections and their placebos."""
    arms = [Arm.named(ORIGINAL), Arm.named(ceiling)]
    for label, protection in protections.items():
        preset = registry(Protection.family).presets.get(name_of(trial.written_out(label)))
        source = preset.source if preset else protection.source
        arms.append(
            Arm(
                label=label,
                kind="protection",
                record=protection.record(),
                source=source,
                white_box=protection.optimised_on(model.name),
            )
        )
    arms += [
        Arm(label=label, kind="protection", source="files that another tool made")
        for label in trial.files
    ]
    arms += [
        Arm.named(label).model_copy(update={"record": one.record(), "source": one.source})
        for label, one in placebos.items()
    ]
    return {arm.label: arm for arm in arms}


def rows_a_call(model: EditModel) -> int:
    """How many rows a call of the model has in trials that don't say: 8.

    On a CPU fewer of large pictures, 2 of 512 px: more no longer stay in its cache, which costs
    up to two fifths of the time. On a GPU 16 or 32 where a quarter of its memory holds them: of all
    its memory, so that the same card gives the same keys.
    """
    if model.device.type == "cpu":
        return max(1, min(MOST_ROWS, PIXELS_A_CALL // model.size**2))
    fitting = room_for_more(model.device) // (ROW_BYTES * model.size**2)
    return max(MOST_ROWS, min(MOST_ROWS_ON_GPU, 1 << fitting.bit_length() >> 1))


def calibration_of(path: str | None, model: EditModel) -> tuple[Calibration | None, str]:
    """A model's thresholds, by default its own; or None, and why there are none.

    Raises:
        UserError: the file at ``path`` holds none of this model.
    """
    try:
        return Calibration.of(model, path), ""
    except Unavailable as error:
        if path:
            raise UserError(f"{path}: {error}.") from None
        return None, str(error)


def _metrics(trial: Trial, calibration: Calibration | None) -> dict[str, Metric]:
    """The trial's metrics; with a calibration of its own, those that its thresholds rest on.

    They take the place of the trial's other settings of `follow` and `keep`.
    """
    metrics = list(map(Metric.parse, trial.metrics))
    rests_on = [] if calibration is None else calibration.metrics
    if rests_on:
        metrics = [one for one in metrics if not isinstance(one, (Follow, Keep))]
    return _by_text([*metrics, *map(Metric.parse, rests_on)])


def check_clips(metrics: Iterable[Metric]) -> None:
    """Refuse before the work a CLIP that a metric names and that isn't there."""
    for metric in metrics:
        source = metric.clip if isinstance(metric, (Follow, Keep, Style)) else None
        if source is not None and not _has_files(source):
            raise UserError(
                f"{metric}: there is no CLIP at {source}, neither as a directory nor as a "
                "downloaded hub id: name one that you have."
            )


def _has_files(source: str) -> bool:
    try:
        return bool(clip_files(source))
    except (OSError, ValueError):  # neither a path nor a hub id
        return False


def fill_primary(
    trial: Trial, transforms: list[str], metrics: Mapping[str, Metric], editors: list[str]
) -> Primary:
    """What the trial declares, checked against what it measures.

    A trial that names no primary transforms gets the usual ones that it has, or else its first, or
    else none at all. What decides is an editor of the trial's own model. Without ``editors``, in a
    trial over collections, all of them count as one.

    Raises:
        UserError: it declares what it does not measure, a metric without distances, or one
            comparison twice; several editors, and none that decides.
    """
    declared = trial.primary
    wanted = _as_components(Transform, declared.transforms)
    measured = transforms[1:]
    if "transforms" not in declared.model_fields_set:
        present = [transform for transform in wanted if transform in measured]
        wanted = present or measured[:MAX_PRIMARY_TRANSFORMS] or transforms[:1]
    contrasts = _contrasts(declared)
    sides = [side for one in contrasts for side in (one.left, one.right)]
    editor = declared.editor and str(Editor.parse(declared.editor))
    if len(editors) > 1 and editor is None:
        raise UserError(
            f"The trial has {len(editors)} editors: name the one that decides in `primary`, as "
            f"`primary: {{editor: '{editors[0]}'}}`."
        )
    if trial.models:
        editor = editor or editors[0]
    for kind, named, known in (
        ("primary transform", wanted, measured or transforms),
        ("primary arm", declared.arms, trial.protection_arms),
        ("primary metric", [declared.metric], metrics),
        ("primary editor", [editor] if editor and editors else [], editors),
        ("transform in a contrast", sides, transforms),
    ):
        for name in named:
            if name not in known:
                raise UserError(f"The trial does not measure it. {unknown(kind, name, known)}")
    if len({*wanted}) < len(wanted):
        raise UserError("primary transforms are named twice: name each once.")
    _check_distances(declared.metric, metrics, learns=not editors)
    return declared.model_copy(
        update={"transforms": tuple(wanted), "editor": editor, "contrasts": contrasts}
    )


def _contrasts(declared: Primary) -> tuple[Contrast, ...]:
    """The declared contrasts, their texts as those of what is measured.

    Raises:
        UserError: a transform with itself; two transforms twice.
    """
    found: dict[frozenset[str], Contrast] = {}
    for one in declared.contrasts:
        left, right = _as_components(Transform, (one.left, one.right))
        if left == right:
            raise UserError(f"primary contrasts {left} with itself: name two transforms.")
        if (pair := frozenset((left, right))) in found:
            raise UserError(f"primary contrasts {left} and {right} twice: drop one of the two.")
        found[pair] = Contrast(left=left, right=right)
    return tuple(found.values())


def _check_distances(name: str, metrics: Mapping[str, Metric], *, learns: bool) -> None:
    """Refuse a primary metric of which there is nothing to conclude from."""
    able = [label for label, one in metrics.items() if _has_distances(one, learns=learns)]
    if name not in able:
        raise UserError(
            f"The primary metric {name!r} has no distances"
            f"{'' if learns else ' to the control'}: name one that has (of the trial's metrics "
            f"{', '.join(able) or 'none'})."
        )


def _has_distances(metric: Metric, *, learns: bool) -> bool:
    """Whether a metric tells how far edits lie from controls, or pictures from originals."""
    if metric.against == "photo" and not learns:
        return False
    try:
        metric.as_distance(torch.zeros(1))
    except Unavailable:
        return False
    return True


def _as_components(family: type[Component], texts: Iterable[str]) -> list[str]:
    return [str(family.parse(text)) for text in texts]


def _by_text(components: Iterable[C]) -> dict[str, C]:
    return {str(component): component for component in components}


def add_cell(plan: Plan, at: Point) -> None:
    """A cell, and all work that it needs, join the plan."""
    edit = _edit(plan, at)
    control = _edit(plan, at._replace(arm=ORIGINAL))
    clean = _edit(plan, at._replace(arm=ORIGINAL, transform="none"))
    floor = []
    if (at.arm, at.transform) == (ORIGINAL, "none") and not plan.learns:
        floor = [_edit(plan, at._replace(seed=seed)) for seed in plan.trial.floor_seeds]
    digest, compared = plan.subjects[at.image].digest, [edit, control, clean, *floor]
    keys = [one.key for one in compared]
    if plan.editors[at.editor].takes_collection:
        identity = key("cell", digest, edit.key)
    else:
        identity = cell_key(digest, plan.transforms[at.transform], at.prompt, keys)
    plan.cells.append(Cell(identity, *at, edit.key, control.key, clean.key, floor=tuple(keys[3:])))


def cell_key(subject: str, transform: Transform, prompt: str, edits: Sequence[str]) -> str:
    """The key of a cell: the subject's digest, and the keys of all edits that it compares."""
    return key("cell", subject, transform, prompt, list(edits))


def _edit(plan: Plan, at: Point) -> Edit:
    # The noise belongs to the seed and the subject: arms, transforms and prompts share it.
    seed = derive_seed(at.seed, plan.subjects[at.image].digest)
    editor, model = plan.editors[at.editor], plan.model.in_keys
    source: str | None
    if isinstance(editor, FineTune):
        source = None if at.arm == BASE_MODEL else _learning(plan, at).key
        identity = key("painting", source, editor.settings(), at.prompt, seed, *model)
    else:
        source = reception_of(plan, at.image, at.arm, at.transform).key
        made = [source, editor, at.prompt, seed, *model, plan.batch]
        if editor.needs_mask:
            made.append(plan.photos[at.image].mask_key)
        identity = key("edit", *made)
    edit = Edit(identity, at.image, at.editor, at.prompt, seed, source)
    return plan.edits.setdefault(edit.key, edit)


def _learning(plan: Plan, at: Point) -> Learning:
    receptions = tuple(
        reception_of(plan, name, at.arm, at.transform).key
        for name in plan.subjects[at.image].pictures
    )
    identity = key("tuning", plan.editors[at.editor], *plan.model.in_keys, *receptions)
    return plan.learnings.setdefault(identity, Learning(identity, at.editor, receptions))


def reception_of(plan: Plan, photo: str, arm: str, transform: str) -> Reception:
    """What arrives of a photo in an arm after a transform; it and its release join the plan."""
    release = _release(plan, photo, arm)
    component = plan.transforms[transform]
    reduced = (photo, transform) in plan.reduced
    # What passes a transform as it is keeps its key: one edit of a gray picture serves them all.
    as_it_is = arm == GRAY and not (
        component.geometry.moves or component.capabilities.needs_model or reduced
    )
    if transform == "none" or as_it_is:
        reception = Reception(release.key, release.key, "none", 0)
    else:
        seed = derive_seed(0, plan.photos[photo].digest, transform)
        made = [release.key, component, seed]
        if component.capabilities.needs_model:
            made += _makes_files(plan).in_keys
        if reduced:
            made += ["reduced", plan.model.size]
        reception = Reception(key("receive", *made), release.key, transform, seed, reduced)
    return plan.receptions.setdefault(reception.key, reception)


def _release(plan: Plan, photo: str, label: str) -> Release:
    digest, arm = plan.photos[photo].digest, plan.arms[label]
    if arm.kind in ("original", "ceiling"):
        release = Release(key("release", label, digest), photo, label, 0)
    elif (photo, label) in plan.given:
        made = key("release", "given", plan.given[photo, label].digest)
        release = Release(made, photo, label, 0)
    elif arm.kind == "placebo":
        of = _release(plan, photo, arm.of)
        seed = _placebo_seed(plan, photo, arm)
        drawn = key("release", of.key, plan.placebos[label], seed)
        release = Release(drawn, photo, label, seed, of.key)
    else:
        # The seed belongs to what a short name stands for, so that naming changes no result.
        seed = derive_seed(0, digest, plan.trial.written_out(label))
        parts = [
            *(digest, plan.protections[label], seed),
            *_makes_files(plan).in_keys,
            _beside(plan, photo, label),
        ]
        if (mask := plan.photos[photo].mask_key) is not None:
            parts.append(mask)
        release = Release(key("release", *parts), photo, label, seed)
    return plan.releases.setdefault(release.key, release)


def _placebo_seed(plan: Plan, photo: str, arm: Arm) -> int:
    """Of several draws each has its own; they are those of files made elsewhere."""
    digest = plan.photos[photo].digest
    if (photo, arm.of) in plan.given:
        seed = plan.trial.seeds[0]
        return derive_seed(seed, digest, "placebo", str(arm.noise), str(arm.draw))
    return derive_seed(0, digest, f"{arm.noise}({plan.trial.written_out(arm.of)})")


def _beside(plan: Plan, photo: str, arm: str) -> int | list[str]:
    """What of a photo's neighbours its protection depends on: their number, or what they are."""
    if plan.protections[arm].needs_collection:
        return sorted(plan.photos[name].digest for name in plan.neighbours(photo))
    return plan.rows(photo)


def _makes_files(plan: Plan) -> ModelIdentity:
    return plan.made_on or plan.model

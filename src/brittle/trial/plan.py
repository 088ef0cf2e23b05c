"""Making the plan: every file that a trial needs, each once, and its key.

An edit that two comparisons share is one edit; a picture that a transform leaves as it is keeps its
key.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, TypeVar

from brittle.component import Component, key, unknown
from brittle.declaration.primary import MAX_PRIMARY_TRANSFORMS, Primary
from brittle.declaration.trial import Trial
from brittle.editors import Editor
from brittle.errors import Unavailable, UserError
from brittle.metrics import Calibration, Follow, Keep, Metric
from brittle.noise import derive_seed
from brittle.protections import Placebo, Protection
from brittle.record.arms import GRAY, ORIGINAL, placebo_parts
from brittle.sources.photos import TrialPhoto
from brittle.transforms import Transform
from brittle.trial.work import Cell, Edit, ModelIdentity, Plan, Reception, Release

if TYPE_CHECKING:
    from brittle.models import EditModel

C = TypeVar("C", bound=Component)
MOST_ROWS, PIXELS_A_CALL = 8, 2 * 512**2


def make_plan(
    trial: Trial,
    photos: dict[str, TrialPhoto],
    model: "EditModel",
    *,
    shard: tuple[int, int] = (1, 1),
) -> Plan:
    """Lay out the work of a trial over photos (by name) with one edit model.

    ``shard`` (i, n) keeps the work of every n-th photo, beginning with number i of 1..n.

    Raises:
        UserError: a component that is unknown or wrongly set.
    """
    plan = empty_plan(trial, photos, model)
    _check_editors(trial, plan.editors)
    for label, protection in plan.protections.items():
        if protection.needs_collection:
            raise UserError(f"{label} protects collections: it needs an editor that learns.")
    index, count = shard
    mine = list(photos)[index - 1 :: count]
    for photo, editor, prompt, seed in product(mine, plan.editors, trial.prompts, trial.seeds):
        edit = partial(_edit, plan, photo, editor=editor, prompt=prompt)
        clean = edit(ORIGINAL, "none", seed=seed)
        floor = [edit(ORIGINAL, "none", seed=other) for other in trial.floor_seeds]
        for transform in plan.transforms:
            control = edit(ORIGINAL, transform, seed=seed)
            for arm in trial.arms:
                edited = edit(arm, transform, seed=seed)
                first = arm == ORIGINAL and transform == "none"
                compared = [edited, control, clean, *(floor if first else [])]
                keys = [one.key for one in compared]
                plan.cells.append(
                    Cell(
                        cell_key(photos[photo].digest, plan.transforms[transform], prompt, keys),
                        *(photo, arm, transform, editor, prompt, seed),
                        *(edited.key, control.key, clean.key, tuple(keys[3:])),
                    )
                )
    return plan


def cell_key(photo: str, transform: Transform, prompt: str, edits: Sequence[str]) -> str:
    """The key of a cell: the photo's digest, and the keys of all edits that it compares."""
    return key("cell", photo, transform, prompt, list(edits))


def empty_plan(trial: Trial, photos: dict[str, TrialPhoto], model: "EditModel") -> Plan:
    """A plan's components, without any work; errors as `make_plan`."""
    protections = {
        label: Protection.parse(trial.written_out(label)) for label in trial.protection_arms
    }
    transforms = _by_text(map(Transform.parse, trial.transforms))
    for label, transform in transforms.items():
        if reason := transform.capabilities.missing:
            raise UserError(f"The trial names {label}, and {reason}.")
        transform.check(model)
        for size in {photo.image.shape[-2:] for photo in photos.values()}:
            transform.geometry.received_size(size)
    calibration, not_calibrated = _calibration(trial, model)
    metrics = _metrics(trial, calibration if trial.calibration else None)
    editors = {str(one): one.resolve(model) for one in map(Editor.parse, trial.editors)}
    return Plan(
        trial,
        photos,
        ModelIdentity(model.name, model.content_hash, str(model.dtype), model.size),
        protections=protections,
        placebos={
            f"{kind}({label})": Placebo.from_record({"name": kind, "of": protection})
            for label, protection in protections.items()
            for kind in trial.placebos
        },
        transforms=transforms,
        editors=editors,
        metrics=metrics,
        primary=fill_primary(trial, list(transforms), list(metrics)),
        calibration=calibration,
        not_calibrated=not_calibrated,
        batch=trial.batch or rows_a_call(model),
    )


def rows_a_call(model: "EditModel") -> int:
    """How many rows a call of the model has in trials that don't say: 8.

    On a CPU fewer of large pictures, 2 of 512 px: more no longer stay in its cache, which costs
    up to two fifths of the time.
    """
    if model.device.type != "cpu":
        return MOST_ROWS
    return max(1, min(MOST_ROWS, PIXELS_A_CALL // model.size**2))


def _calibration(trial: Trial, model: "EditModel") -> tuple[Calibration | None, str]:
    try:
        return Calibration.of(model, trial.calibration), ""
    except Unavailable as error:
        if trial.calibration:
            raise UserError(f"{trial.calibration}: {error}.") from None
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


def _check_editors(trial: Trial, editors: dict[str, Editor]) -> None:
    if trial.tuning_seeds is not None:
        raise UserError("The trial has tuning_seeds and no editor that learns: drop them.")
    paints = [label for label, editor in editors.items() if editor.needs_mask]
    if paints and trial.mask is None:
        raise UserError(f"{paints[0]} needs masks: set `mask` to auto, alpha or a folder of them.")
    if trial.mask is not None and not paints:
        raise UserError("The trial has a mask and no editor that uses it: add inpaint, or drop it.")


def fill_primary(trial: Trial, transforms: list[str], metrics: list[str]) -> Primary:
    """What the trial declares, checked against what it measures.

    A trial that names no primary transforms gets the usual ones that it has, or else its first, or
    else none at all.
    """
    declared = trial.primary
    wanted = [str(Transform.parse(text)) for text in declared.transforms]
    measured = transforms[1:]
    if "transforms" not in declared.model_fields_set:
        present = [transform for transform in wanted if transform in measured]
        wanted = present or measured[:MAX_PRIMARY_TRANSFORMS] or transforms[:1]
    for kind, named, known in (
        ("primary transform", wanted, measured or transforms),
        ("primary arm", declared.arms, trial.protection_arms),
        ("primary metric", [declared.metric], metrics),
    ):
        for name in named:
            if name not in known:
                raise UserError(f"The trial does not measure it. {unknown(kind, name, known)}")
    return declared.model_copy(update={"transforms": tuple(wanted)})


def _by_text(components: Iterable[C]) -> dict[str, C]:
    return {str(component): component for component in components}


def _edit(
    plan: Plan, photo: str, arm: str, transform: str, *, editor: str, prompt: str, seed: int
) -> Edit:
    # The noise belongs to the seed and the photo: arms, transforms and prompts share it.
    seed = derive_seed(seed, plan.photos[photo].digest)
    reception = reception_of(plan, photo, arm, transform)
    made = [
        reception.key,
        plan.editors[editor],
        prompt,
        seed,
        *model_identity(plan),
        plan.batch,
    ]
    if plan.editors[editor].needs_mask:
        made.append(plan.photos[photo].mask_key)
    edit = Edit(key("edit", *made), photo, reception.key, editor, prompt, seed)
    return plan.edits.setdefault(edit.key, edit)


def reception_of(plan: Plan, photo: str, arm: str, transform: str) -> Reception:
    """What arrives of a photo in an arm after a transform; it and its release join the plan."""
    release = _release(plan, photo, arm)
    component = plan.transforms[transform]
    # What passes a transform as it is keeps its key: one edit of a gray picture serves them all.
    as_it_is = arm == GRAY and not (component.geometry.moves or component.capabilities.needs_model)
    if transform == "none" or as_it_is:
        reception = Reception(release.key, release.key, "none", 0)
    else:
        seed = derive_seed(0, plan.photos[photo].digest, transform)
        by_model = model_identity(plan) if component.capabilities.needs_model else ()
        identity = key("receive", release.key, component, seed, *by_model)
        reception = Reception(identity, release.key, transform, seed)
    return plan.receptions.setdefault(reception.key, reception)


def _release(plan: Plan, photo: str, arm: str) -> Release:
    digest = plan.photos[photo].digest
    kind, of_arm = placebo_parts(arm) if arm in plan.placebos else ("", arm)
    # The seed belongs to what a short name stands for, so that naming changes no result.
    text = plan.trial.written_out(of_arm)
    seed = derive_seed(0, digest, f"{kind}({text})" if kind else text)
    if arm in (ORIGINAL, GRAY):
        release = Release(key("release", arm, digest), photo, arm, seed)
    elif arm in plan.protections:
        made = [
            digest,
            plan.protections[arm],
            seed,
            *model_identity(plan),
            _beside(plan, photo, arm),
        ]
        if (mask := plan.photos[photo].mask_key) is not None:
            made.append(mask)
        release = Release(key("release", *made), photo, arm, seed)
    else:
        of = _release(plan, photo, of_arm)
        drawn = key("release", of.key, plan.placebos[arm], seed)
        release = Release(drawn, photo, arm, seed, of.key)
    return plan.releases.setdefault(release.key, release)


def _beside(plan: Plan, photo: str, arm: str) -> int | list[str]:
    """What of a photo's neighbours its protection depends on: their number, or what they are."""
    if plan.protections[arm].needs_collection:
        return sorted(plan.photos[name].digest for name in plan.neighbours(photo))
    return plan.rows(photo)


def model_identity(plan: Plan) -> tuple[str, str, int]:
    """What of the model its output depends on; the dtype decides `EditModel.attack_dtype` too."""
    return plan.model.content_hash, plan.model.dtype, plan.model.size

"""Trials with several edit models: protections are made on one, and all edit the same files.

Each other model has a plan of its own, whose files are those that the first one's makes; so models
follow one another, and one is in memory at a time.
"""

from collections.abc import Iterable
from dataclasses import replace

from brittle.declaration.trial import Trial
from brittle.editors import Editor
from brittle.editors.sampling import Sampling
from brittle.errors import UserError
from brittle.models import EditModel, load_model
from brittle.models.prompts import check_prompts
from brittle.transforms import Transform
from brittle.trial.plan import calibration_of, rows_a_call, without_work
from brittle.trial.tasks import ModelIdentity, Plan

Work = tuple[Plan, EditModel]
"""A plan, and the model that edits in it."""


def models_of(trial: Trial, *, device: str | None, dtype: str | None) -> list[EditModel]:
    """The trial's own model, and the others; their weights are read when first used.

    Raises:
        UserError: as `load_model`.
    """
    return [
        load_model(name, size=trial.size, device=device, dtype=dtype)
        for name in (trial.model, *trial.models)
    ]


def lay_out_others(plan: Plan, others: Iterable[EditModel]) -> list[Work]:
    """The plans of a trial's other models, in their order, without their work.

    Their editors have labels such as ``instruct on embedded-instruct``.

    Raises:
        UserError: an editor that is unknown or wrongly set, or that its model can't run; two models
            with the same files or of one name; a transform that the trial doesn't have.
    """
    editors = plan.trial.models.values()
    works = [
        (_lay_out(plan, model, mine), model) for model, mine in zip(others, editors, strict=True)
    ]
    known = [plan.model, *(other.model for other, _ in works)]
    if len(known) > min(len({one.name for one in known}), len({one.content_hash for one in known})):
        named = ", ".join(one.name for one in known)
        raise UserError(f"Two of the trial's models have the same files or the same name: {named}.")
    return works


def _lay_out(plan: Plan, model: EditModel, editors: Iterable[str]) -> Plan:
    own = [Editor.parse(text) for text in editors]
    resolved = {f"{one} on {model.name}": one.resolve(model) for one in own}
    if any(isinstance(one, Sampling) for one in resolved.values()):
        check_prompts(model, plan.trial.prompts)
    calibration, not_calibrated = calibration_of(None, model)
    return replace(
        without_work(plan),
        transforms=_transforms(plan),
        model=ModelIdentity.of(model),
        made_on=plan.model,
        editors=resolved,
        calibration=calibration,
        not_calibrated=not_calibrated,
        batch=plan.trial.batch or rows_a_call(model),
    )


def _transforms(plan: Plan) -> dict[str, Transform]:
    """Those after which the other models edit."""
    texts = plan.trial.models_transforms
    if texts is None:
        return plan.transforms
    labels = [str(Transform.parse(text)) for text in texts]
    for label in labels:
        if label not in plan.transforms:
            raise UserError(
                f"models_transforms names {label}, which is not among the trial's transforms: "
                f"{', '.join(plan.transforms)}."
            )
    return {label: plan.transforms[label] for label in labels}

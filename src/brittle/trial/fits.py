"""Whether a plan fits into memory: asked before the work, and told where it didn't after all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from brittle.editors import FineTune
from brittle.errors import out_of_memory
from brittle.models import EditModel
from brittle.models.memory import check_edit
from brittle.trial.tasks import Plan, Release

Part = Literal["edits", "protections"]


class OutOfMemory(Exception):
    """Memory ran out in a call of the model that fewer rows would make smaller."""

    def __init__(self, part: Part) -> None:
        super().__init__(f"Memory ran out in {part}.")
        self.part = part


@contextmanager
def told_where(part: Part) -> Iterator[None]:
    """Raise `OutOfMemory` where memory runs out."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if out_of_memory(error):
            raise OutOfMemory(part) from None
        raise


def check_memory(
    plan: Plan, model: EditModel, done: Callable[[str], bool] = lambda key: False
) -> None:
    """Refuse a plan that can't fit into memory; ``done`` says which keys need no work.

    Raises:
        UserError: too little for a full fine-tune, a protection or the model that edits; a
            protection that can't run with the model here.
    """
    ahead = {one.editor for one in plan.edits.values() if one.source and not done(one.key)}
    for editor in (plan.editors[label] for label in ahead):
        if isinstance(editor, FineTune):
            editor.check_memory(model)
    if plan.makes_files:
        _check_protections(plan, model, done)
    if ahead and not plan.learns:
        check_edit(model, 0)  # the photos are in memory


def _check_protections(plan: Plan, model: EditModel, done: Callable[[str], bool]) -> None:
    """Refuse protections that can't fit; as `check_memory`."""
    lacking = [one for one in plan.releases.values() if not done(one.key)]
    for arm, protection in plan.protections.items():
        calls = {_shapes_of_a_call(plan, one) for one in lacking if one.arm == arm}
        if calls:
            protection.check_model(model)
        for shapes in calls:
            protection.check_memory(model, shapes, "use smaller photos (`square`) or batches")


def _shapes_of_a_call(plan: Plan, release: Release) -> tuple[tuple[int, int], ...]:
    """Heights and widths of the photos that go into one call with a release's."""

    def shape(name: str) -> tuple[int, int]:
        height, width = plan.photos[name].image.shape[-2:]
        return height, width

    if plan.protections[release.arm].needs_collection:
        return tuple(map(shape, plan.neighbours(release.photo)))
    return (shape(release.photo),) * plan.rows(release.photo)

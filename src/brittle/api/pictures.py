"""On tensors: images are (N, 3, H, W), sRGB in [0, 1]."""

from collections.abc import Sequence

from torch import Tensor

from brittle.budgets import Budget, read_budget
from brittle.editors import Editor
from brittle.models import EditModel, load_model
from brittle.models.memory import check_edit
from brittle.models.prompts import check_prompts
from brittle.protections import Protection
from brittle.transforms import Transform


def protect(
    image: Tensor,
    protection: str | Protection = "photoguard-encoder",
    *,
    budget: str | Budget | None = None,
    model: EditModel | None = None,
    mask: Tensor | None = None,
    seed: int = 0,
) -> Tensor:
    """Protect photos; returns them on the 8-bit grid, inside the budget.

    >>> from brittle.images import read_photo
    >>> photo = read_photo("me.png").image
    >>> protected = brittle.protect(photo, "encoder-away-jpeg:steps=2", budget="8/255")
    >>> moved = (protected - photo).abs().max() * 255
    >>> 1 <= round(moved.item()) <= 8
    True

    Args:
        image: (N, 3, H, W) in [0, 1], on the 8-bit grid: one photo, or several of one shape.
        protection: a protection or its text; `describe` lists them.
        budget: how visible it may be, in place of the protection's own: "mild", "8/255" ….
        model: the edit model to protect against; the embedded one if none is given.
        mask: (N, 1, H, W), 1 where an editor may edit; only the rest is perturbed.
        seed: of what the protection draws.

    Raises:
        UserError: an unknown protection, a bad budget, a mask that leaves nothing to protect, more
            than fits into memory.
    """
    component, model = read_protection(protection, budget), model or load_model()
    if image.ndim == 4 and len(image):  # the call says what is wrong with others
        check_fits(component, model, [(image.shape[-2], image.shape[-1])] * len(image))
    return component(model, image, mask=mask, seeds=[seed] * len(image))


def read_protection(protection: str | Protection, budget: str | Budget | None = None) -> Protection:
    """A protection by its text, with another budget in place of its own if given.

    A step that is a length in the budget's norm goes along (`PGD.with_budget`). In text it doesn't:
    ``encoder:budget=l2:8`` has the step of linf unless it names ``step_size`` too.

    Raises:
        UserError: an unknown protection or parameter, a bad budget.
    """
    component = Protection.read(protection)
    return component if budget is None else component.with_budget(read_budget(budget))


def check_fits(protection: Protection, model: EditModel, shapes: Sequence[tuple[int, int]]) -> None:
    """Refuse, before any work, photos of these (heights, widths) in one call that can't be done.

    Raises:
        UserError: the protection can't run with this model, or memory doesn't suffice.
    """
    protection.check_model(model)
    protection.check_memory(model, shapes)


def transform(
    image: Tensor,
    transform: str | Transform,
    *,
    model: EditModel | None = None,
    seed: int = 0,
) -> Tensor:
    """Pass images through a transform's real codec or filter; (N, 3, h, w) on the 8-bit grid.

    >>> from brittle.images import read_photo
    >>> photo = read_photo("me.png").image
    >>> received = brittle.transform(photo, "resize:factor=0.5+jpeg:quality=75")
    >>> received.shape
    torch.Size([1, 3, 64, 80])

    Args:
        image: (N, 3, H, W) in [0, 1].
        transform: a transform or its text, several joined by ``+``; `describe` lists them.
        model: for transforms that run one; the embedded model if none is given.
        seed: of what the transform draws.

    Raises:
        UserError: an unknown transform or parameter; one that this model can't run; more than fits
            into memory.
    """
    component = Transform.read(transform)
    if image.ndim == 4:  # the call says what is wrong with others
        component.check_memory(image.shape[-2:])
    if component.capabilities.needs_model:
        model = model or load_model()
    return component.apply(image, seeds=[seed] * len(image), model=model)


def edit(
    image: Tensor,
    prompt: str | Sequence[str],
    *,
    editor: str | Editor = "img2img",
    model: EditModel | None = None,
    mask: Tensor | None = None,
    seed: int = 0,
) -> Tensor:
    """Edit images; (N, 3, h, w) in [0, 1] at the size at which the model sees them.

    >>> from brittle.images import read_photo
    >>> photo = read_photo("me.png").image
    >>> edited = brittle.edit(photo, "heavy rain", editor="img2img:num_inference_steps=4")
    >>> edited.shape
    torch.Size([1, 3, 64, 80])

    Args:
        image: (N, 3, H, W) in [0, 1].
        prompt: what the edits should show: one for all, or one each.
        editor: an editor or its text; `describe` lists them.
        model: the edit model; the embedded one if none is given.
        mask: (N, 1, H, W), 1 where an inpainting editor may paint.
        seed: as diffusers uses it.

    Raises:
        UserError: an unknown editor, a setting that leaves no denoising step, a mask that the
            editor needs or doesn't take, a prompt of which the embedded model knows no word; too
            little memory for the model.
    """
    prompts = [prompt] * len(image) if isinstance(prompt, str) else prompt
    component, model = Editor.read(editor), model or load_model()
    for one in dict.fromkeys(prompts):
        check_prompts(model, [one])
    check_edit(model, 0)  # the images are in memory
    return component.edit(model, image, prompts=prompts, mask=mask, seeds=[seed] * len(image))

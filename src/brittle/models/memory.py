"""Whether work fits into memory, asked before it starts."""

import re
from dataclasses import replace

import torch
from torch import Tensor

from brittle.control_groups import groups_of, text_of
from brittle.errors import UserError
from brittle.models.devices import give_back_freed_memory
from brittle.models.edit_model import EditModel
from brittle.models.tuned import LearningScope

TRIED = 64
"""Side in px of the picture on which a gradient is tried."""
PHOTO_BYTES = 60
"""Bytes a pixel of a photo that is read and brought to the model's size."""
SMALLER = "make the photo smaller, or close other programs"
_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def check_memory(
    model: EditModel, scope: LearningScope, instead: str = "say method=lora", copies: int = 4
) -> None:
    """Refuse a full fine-tune that can't fit, before it starts; LoRA is let pass.

    Weights, gradients and AdamW's two moments are four copies of 4 bytes a parameter, activations
    not counted. Where some layers learn alone, only the weights count.

    Raises:
        UserError: less memory is free; it ends with what to do ``instead``.
    """
    if scope.rank is not None:
        return
    copies = 1 if scope.layers else copies
    needed = 4 * copies * sum(model.files.count(part) for part in scope.parts)
    check_free(needed, f"A full fine-tune of {model.name}", model.device, instead)


def check_edit(model: EditModel, pixels: int) -> None:
    """Refuse to edit a photo of so many pixels where not even the weights and it fit.

    What the model computes with is not counted: it is small beside large weights.

    Raises:
        UserError: less memory is free.
    """
    if model.why_no_edits:  # which is said where it is to edit
        return
    needed = model.unread_bytes + PHOTO_BYTES * pixels
    instead = "say --dtype bfloat16, take a smaller photo or model, or close other programs"
    check_free(needed, f"Editing with {model.name}", model.device, instead)


def check_free(needed: float, what: str, device: torch.device, instead: str) -> None:
    """Refuse work that needs more bytes than are free, before it starts.

    Raises:
        UserError: so it is; it ends with what to do ``instead``.
    """
    free = free_memory(device)
    if needed > free:
        raise UserError(
            f"{what} needs {needed / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free on "
            f"{device}: {instead}."
        )


def kept_for_gradient(model: EditModel, *, denoiser: bool) -> tuple[float, float]:
    """Bytes that a gradient keeps: of any picture, and for each pixel the model sees.

    Through the encoder; with ``denoiser`` through one evaluation and the decoder, which with
    recomputation are all that is kept at a time. Weights are not counted. It is tried on a small
    picture, and on one four times as large where the denoiser computes with a prompt's tokens as
    with the picture's, whose number doesn't grow.
    """
    small = _kept(model, TRIED, denoiser)
    if not denoiser or model.denoiser.patch == 1:
        return 0.0, small / TRIED**2
    growth = (_kept(model, 2 * TRIED, denoiser) - small) / (3 * TRIED**2)
    return small - growth * TRIED**2, growth


def _kept(model: EditModel, side: int, denoiser: bool) -> int:
    """Bytes that the gradient of a picture of ``side`` x ``side`` pixels keeps."""
    picture = torch.full((1, 3, side, side), 0.5, device=model.device)

    def through() -> Tensor:
        latents = model.encode_to_attack(picture.requires_grad_())
        if not denoiser:
            return latents
        latents = latents.detach().requires_grad_()
        return model.decode(evaluation(model, latents))

    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.no_grad():
        through()  # reads the weights
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda kept: kept):
        _end = through()
    for weight in model.weights():
        kept.pop(weight.untyped_storage().data_ptr(), None)
    return sum(kept.values())


def evaluation(model: EditModel, latents: Tensor, guidance_scale: float = 1) -> Tensor:
    """One evaluation of latents (N, C, h, w) under empty prompts, to see what it takes."""
    denoiser, nothing = model.denoiser, [""] * len(latents)
    shape = [side * model.factor for side in latents.shape[-2:]]
    condition = denoiser.condition(nothing, nothing, shape=shape, guidance_scale=guidance_scale)
    shown = denoiser.blank(latents, condition)
    return denoiser.predict(latents, 500, replace(condition, shown=shown))


def free_memory(device: torch.device) -> int:
    """Bytes that a program may still take on a device, by the machine and by its control group."""
    import psutil  # type: ignore[import-untyped]

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    give_back_freed_memory()
    return min([int(psutil.virtual_memory().available), *_left_in_groups()])


def _left_in_groups() -> list[int]:
    """What each limit on this process's control groups leaves, in bytes; files' cache is free."""
    left = []
    for group in groups_of("memory"):
        for limit, usage, cache in _FILES:
            bound, used = text_of(group / limit).strip(), text_of(group / usage).strip()
            if bound.isdigit() and used.isdigit():
                found = re.search(rf"^{cache} (\d+)$", text_of(group / "memory.stat"), re.M)
                left.append(max(0, int(bound) - int(used) + int(found[1] if found else 0)))
    return left

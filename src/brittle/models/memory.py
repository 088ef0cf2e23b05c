"""Whether a fine-tune fits into memory, asked before it starts."""

from typing import TYPE_CHECKING

import torch

from brittle.errors import UserError
from brittle.models.tuned import Scope

if TYPE_CHECKING:
    from brittle.models.edit_model import EditModel


def check_memory(
    model: "EditModel", scope: Scope, instead: str = "say method=lora", copies: int = 4
) -> None:
    """Refuse a full fine-tune that can't fit, before it starts; LoRA is let pass.

    Weights, gradients and AdamW's two moments are four copies of 4 bytes a parameter, activations
    not counted.

    Raises:
        UserError: less memory is free; it ends with what to do ``instead``.
    """
    if scope.rank is not None:
        return
    needed = 4 * copies * sum(model.files.count(part) for part in scope.parts)
    free = free_memory(model.device)
    if needed > free:
        raise UserError(
            f"A full fine-tune of {model.name} needs {needed / 2**30:.1f} GiB and "
            f"{free / 2**30:.1f} GiB are free on {model.device}: {instead}."
        )


def free_memory(device: torch.device) -> int:
    """Bytes that a program may still take on a device."""
    import psutil  # type: ignore[import-untyped]

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)

"""What a protection makes the model see: a gray picture, a texture, or any image."""

import re
from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import AfterValidator
from torch import Tensor

from brittle.errors import UserError
from brittle.images import read_photo, stretch

GRAY = 0.5
SQUARE = 8
"""Side in px of a texture's squares: that of a latent in most models."""


def with_digest(target: str, *names: str) -> str:
    """The target as it is recorded: a known name, or ``path#digest``, the digest of its pixels.

    Raises:
        ValueError: neither one of ``names`` nor a readable image.
    """
    if target in names or re.fullmatch(r".+#[0-9a-f]{32}", target):
        return target
    try:
        return f"{target}#{read_photo(target).digest}"
    except UserError as error:
        known = " nor ".join(names)
        raise ValueError(f"{target!r} is neither {known}, nor an image: {error}") from error


TexturedTarget = Annotated[str, AfterValidator(lambda name: with_digest(name, "texture", "gray"))]
"""A protection's field: a texture, a gray picture, or any image."""


def target_image(target: str, like: Tensor) -> Tensor:
    """The target (1, 3, h, w) in the shape of ``like``: "gray", "texture" or a recorded file.

    Raises:
        UserError: the file is gone, or its pixels are not those that were recorded.
    """
    if target == "gray":
        return torch.full_like(like[:1], GRAY)
    if target == "texture":
        return texture(like)
    path, _, digest = target.rpartition("#")
    photo = read_photo(path)
    if photo.digest != digest:
        raise UserError(
            f"The target image {path} isn't the one that the setting was recorded with: "
            "its pixels differ."
        )
    return stretch(photo.image.to(like), like.shape[-2:])


def target_latent(
    target: str, seen: Tensor, encode: Callable[[Tensor], Tensor], known: dict[torch.Size, Tensor]
) -> Tensor:
    """The latent (1, C, h, w) of a target in the shape of ``seen``, which ``known`` remembers."""
    if seen.shape not in known:
        with torch.no_grad():
            known[seen.shape] = encode(target_image(target, seen))
    return known[seen.shape]


def texture(like: Tensor) -> Tensor:
    """Squares of black and white (1, 3, h, w) that never repeat, in the shape of ``like``.

    Row y, column x is white where the Thue-Morse sequence differs at y and x.
    """
    down, across = (
        torch.tensor([(at // SQUARE).bit_count() % 2 for at in range(side)], device=like.device)
        for side in like.shape[-2:]
    )
    return (down[:, None] ^ across).to(like).expand(1, 3, -1, -1)

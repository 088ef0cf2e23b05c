"""A perturbation that was made once for all photos: no gradient, and at most a few passes."""

import hashlib
import json
import re
from importlib.resources import files
from pathlib import Path

import torch
from pydantic import field_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from brittle.budgets import Budget, LinfBudget
from brittle.component import register
from brittle.errors import UserError
from brittle.images import Mask, stretch
from brittle.models import EditModel
from brittle.models.known import BROUGHT
from brittle.noise import Seeds
from brittle.protections.base import Protection, Trace

SHIPPED = "embedded"
"""Recorded without a digest: another file would raise the protection's version."""
LEVELS = 127
"""A tile is kept in whole numbers of up to this, which stands for the whole budget."""


@register
class Universal(Protection):
    """Adds a tile that was made once on other photos, or one of a few.

    The tile is repeated over the photo as the model sees it, from its upper left corner. Where
    ``tiles`` holds several, each photo gets the one that moves its latent the furthest, which takes
    a pass through the encoder for each; one alone takes none.

    ``tiles`` is "embedded" (one, made for the embedded model's encoder) or a file that
    ``python -m training.universal`` wrote, recorded as ``path#digest``.
    """

    name = "universal"
    version = 2
    source = (
        "After FastProtect's mixture of perturbations (Ahn et al. 2024, arXiv 2412.11423), without "
        "its target, its choice by latent code, its loss over several layers and its weighting of "
        "what is seen"
    )

    budget: Budget = LinfBudget(radius=12.75 / 255)
    tiles: str = SHIPPED

    @field_validator("tiles")
    @classmethod
    def _add_digest(cls, tiles: str) -> str:
        if tiles == SHIPPED or re.fullmatch(r".+#[0-9a-f]{32}", tiles):
            return tiles
        try:
            return f"{tiles}#{_digest(Path(tiles))}"
        except OSError as error:
            raise ValueError(f"the tiles {tiles} can't be read: {error.strerror}") from None

    def optimised_on(self, model: str) -> bool | None:
        """See `Protection.optimised_on`."""
        return model in BROUGHT if self.tiles == SHIPPED else None

    @property
    def cost(self) -> str:
        """See `Protection.cost`."""
        many = len(self.loaded())
        return "no pass" if many == 1 else f"{1 + many} passes through the encoder, forward"

    def loaded(self) -> Tensor:
        """The tiles (K, 3, T, T), of which 1 is the whole budget.

        Raises:
            UserError: the file is gone, holds no tiles of this shape, or isn't the one that was
                recorded.
        """
        path = shipped() if self.tiles == SHIPPED else Path(self.tiles.rpartition("#")[0])
        try:
            if self.tiles != SHIPPED and not self.tiles.endswith(_digest(path)):
                raise UserError(f"The tiles {path} aren't those that were recorded.")
            tiles = load_file(path)["tiles"].float() / LEVELS
        except (OSError, SafetensorError, KeyError) as error:
            raise UserError(f"{path} holds no tiles that can be read: {error}.") from error
        shape = tuple(tiles.shape)
        if len(shape) != 4 or not shape[0] or shape[1] != 3 or shape[2] != shape[3]:
            raise UserError(f"{path} holds tiles of the shape {shape}, not (K, 3, T, T).")
        if not tiles.isfinite().all():
            raise UserError(f"{path} holds tiles whose numbers are not all finite.")
        return tiles

    def perturb(
        self, model: EditModel, image: Tensor, *, mask: Mask, seeds: Seeds, trace: Trace
    ) -> Tensor:
        """See `Protection.perturb`."""
        seen = model.fit(image)
        covers = covering(self.loaded().to(image) * self.budget.rms, seen.shape[-2:])
        if len(covers) > 1:
            with torch.no_grad():
                covers = covers[furthest(model, seen, covers)]
        return image + stretch(covers, image.shape[-2:])


def furthest(model: EditModel, seen: Tensor, covers: Tensor) -> Tensor:
    """Which of the perturbations (K, 3, h, w) moves each fitted photo's latent the most, (N,)."""
    own = model.encode_to_attack(seen)
    moved = [model.encode_to_attack((seen + cover).clamp(0, 1)) - own for cover in covers]
    return torch.stack([one.square().flatten(1).sum(1) for one in moved]).argmax(0)


def covering(tiles: Tensor, shape: torch.Size) -> Tensor:
    """Tiles (K, 3, T, T) repeated over pictures of a (height, width): (K, 3, height, width)."""
    height, width = shape
    side = tiles.shape[-1]
    return tiles.repeat(1, 1, -(-height // side), -(-width // side))[..., :height, :width]


def write_tiles(path: Path, tiles: Tensor, noted: dict[str, object]) -> None:
    """Keep tiles (K, 3, T, T) in -1 to 1, and what is to be known of how they were made."""
    levels = (tiles * LEVELS).round().to(torch.int8)
    save_file({"tiles": levels.contiguous()}, path, {"made": json.dumps(noted)})


def made(path: Path) -> dict[str, object]:
    """What was noted with tiles."""
    with safe_open(path, "pt") as file:
        return dict(json.loads(file.metadata()["made"]))


def shipped() -> Path:
    """The file of the tile that brittle brings."""
    return Path(str(files("brittle.protections") / "universal.safetensors"))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]

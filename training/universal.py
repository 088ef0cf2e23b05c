"""Makes the tile of the protection `universal`: a perturbation that is learned once on many photos.

    python -m training.universal --set photos=FOLDER

Each step takes photos at random, gives each the tile that moves its latent the furthest, and moves
every tile by the sign of the gradient of the mean logarithm of the distances that its photos'
latents have moved. In the first third of the steps tiles take turns, so that none is left behind.
Prints what the tiles do to photos of the validation set, beside random ones.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from brittle.models import EditModel, load_model
from brittle.protections.universal import covering, write_tiles
from training.config import Config, from_command_line
from training.data import SIZE, crop, load_photos, to_tensor

RADIUS = 12.75 / 255


def distances(model: EditModel, photos: Tensor, tiles: Tensor) -> Tensor:
    """Squared distance that each of the tiles moves each photo's latent, (tiles, photos)."""
    with torch.no_grad():
        own = model.encode_to_attack(photos)
    covers = RADIUS * covering(tiles, photos.shape[-2:])
    moved = [model.encode_to_attack((photos + cover).clamp(0, 1)) - own for cover in covers]
    return torch.stack([one.square().flatten(1).sum(1) for one in moved])


def learn(model: EditModel, pictures: list[np.ndarray], config: Config) -> Tensor:
    """The tiles (number, 3, side, side), in -1 to 1."""
    setting = config.universal
    rng = np.random.default_rng(config.seed)
    stream = torch.Generator().manual_seed(config.seed)
    shape = (setting.number, 3, setting.side, setting.side)
    tiles = torch.rand(shape, generator=stream).to(model.device) * 2 - 1
    for step in range(setting.steps):
        drawn = rng.integers(0, len(pictures), setting.batch)
        photos = to_tensor(np.stack([pictures[i] for i in drawn])).to(model.device)
        if 3 * step < setting.steps:
            chosen = torch.arange(setting.batch, device=model.device) % setting.number
        else:
            with torch.no_grad():
                chosen = distances(model, photos, tiles).argmax(0)
        tiles.requires_grad_()
        with torch.no_grad():
            own = model.encode_to_attack(photos)
        covers = RADIUS * covering(tiles, photos.shape[-2:])[chosen]
        moved = model.encode_to_attack((photos + covers).clamp(0, 1)) - own
        gain = moved.square().flatten(1).sum(1).clamp_min(1e-12).log().mean()
        (gradient,) = torch.autograd.grad(gain, tiles)
        size = setting.step * (1 - step / setting.steps)
        tiles = (tiles.detach() + size * gradient.sign()).clamp(-1, 1)
        if step % 25 == 0:
            print(f"{step:>5}  {float(gain.detach()):.3f}", flush=True)
    return tiles


def main(config: Config) -> None:
    """Learn, write and measure the tiles."""
    model = load_model("embedded", device=config.device, size=SIZE)
    setting = config.universal
    photos = load_photos(config.photos, "train")
    rng = np.random.default_rng(config.seed)
    some = rng.choice(len(photos), min(setting.photos, len(photos)), replace=False)
    tiles = learn(model, [crop(photos[i]) for i in some], config)
    setting.export.parent.mkdir(parents=True, exist_ok=True)
    noted = {
        "model": model.content_hash,
        "photos": len(some),
        "steps": setting.steps,
        "batch": setting.batch,
        "seed": config.seed,
    }
    write_tiles(setting.export, tiles.cpu(), noted)
    others = load_photos(config.photos, "validation")[: setting.measured]
    held_out = to_tensor(np.stack([crop(one) for one in others])).to(model.device)
    stream = torch.Generator().manual_seed(1)
    signs = torch.empty(1, *tiles.shape[1:]).bernoulli_(generator=stream)
    with torch.no_grad():
        moved = distances(model, held_out, tiles)
        random = distances(model, held_out, 2 * signs.to(model.device) - 1)[0]
    ratio = (moved.amax(0) / random).sqrt()
    print(f"{len(others)} photos that were not learned from, {SIZE} px")
    print(f"distance, over that of a random tile: median {float(ratio.median()):.2f}, "
          f"from {float(ratio.min()):.2f} to {float(ratio.max()):.2f}")  # fmt: skip
    print(f"chosen: {moved.argmax(0).bincount(minlength=setting.number).tolist()}")


if __name__ == "__main__":
    main(from_command_line(__doc__ or ""))

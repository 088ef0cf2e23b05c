"""What bfloat16 changes in distances of latents, and what it saves.

    python benchmarks/latent_dtype.py --model sd1 --model flux2 [--photos FOLDER] [--side 256]

White noise of half a level to eight levels is added to photos. Printed for each model: the root
mean square distance of the latents in float32, as a share of gray's, and what bfloat16 adds to it,
which the latent metric uses where it is faster; then the time of one look, in both.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from brittle.images import quantise
from brittle.models import load_model
from brittle.sources.photos import load_photos

DTYPES = ("float32", "bfloat16")
LEVELS = (0.5, 1, 2, 4, 8)
GRAY = 0.5


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--photos", default="sample", help="a folder; by default eight samples")
    parser.add_argument("--side", type=int, default=256, help="of the squares in pixels")
    options = parser.parse_args()
    photos = [one.image for one in load_photos(options.photos, square=options.side).values()]
    for name in options.model:
        ways = {dtype: load_model(name, dtype=dtype).encode_to_attack for dtype in DTYPES}
        for level in LEVELS:
            exact, low = (
                torch.tensor([distance(way, photo, level) for photo in photos])
                for way in ways.values()
            )
            difference = low - exact
            print(
                f"{name}, {level:g} levels: {exact.min():.3f} to {exact.max():.3f}, "
                f"{difference.min():+.4f} to {difference.max():+.4f}"
            )
        print(*(f"{way}: {took(of, photos[0]):.3f} s" for way, of in ways.items()), sep=", ")


@torch.inference_mode()
def distance(encode: Callable[[Tensor], Tensor], photo: Tensor, level: float) -> float:
    """How far noise of ``level`` levels moves the latents, as a share of what gray does."""
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    noisy = quantise((photo + level / 255 * noise).clamp(0, 1))
    start = encode(photo)
    moved, gone = (encode(one) - start for one in (noisy, torch.full_like(photo, GRAY)))
    return float(moved.norm() / gone.norm())


@torch.inference_mode()
def took(encode: Callable[[Tensor], Tensor], photo: Tensor) -> float:
    """The shortest of five looks, in seconds."""

    def one() -> float:
        start = time.perf_counter()
        encode(photo)
        return time.perf_counter() - start

    return min(one() for _ in range(5))


if __name__ == "__main__":
    main()

"""What brittle's JPEG costs beside Pillow's alone: `python benchmarks/codecs.py [--images 1000]`.

Photos of 512 px as 8-bit levels through a JPEG in memory, as a trial's threads pass them: with
as many workers for Pillow alone. All take turns in batches, so that other work on the machine
slows all alike, and CPU time is printed beside the clock's. The aim is a ratio of 1.2. Beside
them, `Jpeg.apply` on float tensors, which pays for the way from floats and back. At the end,
Pillow's batches by processes, for comparison.
"""

import argparse
import io
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage import data

from brittle.images import from_bytes
from brittle.transforms import Jpeg

BATCH = 20
JPEG = Jpeg(quality=75)
Mapper = Callable[..., Iterable[Any]]


def pillow_alone(levels: np.ndarray) -> np.ndarray:
    """One photo (512, 512, 3) through a JPEG file in memory."""
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "JPEG", quality=75, subsampling="4:2:0")
    with Image.open(file) as picture:
        return np.array(picture)


def ours(levels: np.ndarray) -> np.ndarray:
    """The same by brittle."""
    return JPEG.on_levels(levels, seed=0)


def on_floats(image: torch.Tensor) -> torch.Tensor:
    """The same on a float tensor (1, 3, 512, 512)."""
    return JPEG.apply(image)


def timed(
    mapper: Mapper, function: Callable[[Any], Any], photos: Sequence[Any]
) -> tuple[float, float]:
    """Milliseconds an image by the clock and of CPU."""
    start, cpu = time.perf_counter(), time.process_time()
    for _ in mapper(function, photos):
        pass
    took = time.perf_counter() - start, time.process_time() - cpu
    return took[0] / len(photos) * 1e3, took[1] / len(photos) * 1e3


def main() -> None:
    """Time all on the same photos."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    torch.set_num_threads(1)
    photo = data.astronaut()
    photos = [np.ascontiguousarray(np.roll(photo, 3 * k, (0, 1))) for k in range(BATCH)]
    floats = [from_bytes(levels[None]) for levels in photos]
    ways = ((pillow_alone, photos), (ours, photos), (on_floats, floats))
    times: list[list[tuple[float, float]]] = []
    with ThreadPoolExecutor(options.workers) as pool:
        for _ in range(options.images // BATCH):
            times.append([timed(pool.map, function, given) for function, given in ways])
    print(f"{options.images} images, {options.workers} threads; ms an image")
    for name, of in (("fastest batch", np.min), ("median", np.median), ("mean", np.mean)):
        values = of(np.array(times), 0)
        for unit, (pillow, levels, tensors) in zip(("clock", "CPU"), values.T, strict=True):
            print(
                f"{name:<14} {unit:<6} Pillow alone {pillow:6.2f}, brittle {levels:6.2f}, ratio "
                f"{levels / pillow:.2f}; on floats {tensors:6.2f}, ratio {tensors / pillow:.2f}"
            )
    with ProcessPoolExecutor(options.workers) as processes:
        alone = [timed(processes.map, pillow_alone, photos)[0] for _ in range(5)]
    print(f"Pillow alone by {options.workers} processes: fastest batch {min(alone):.2f}")


if __name__ == "__main__":
    main()

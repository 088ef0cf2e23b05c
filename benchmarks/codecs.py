"""What brittle's JPEG costs beside Pillow's alone: `python benchmarks/codecs.py [--images 1000]`.

Photos of 512 px as 8-bit levels through a JPEG in memory, as a trial's threads pass them: with
as many workers for Pillow alone. Both take turns in batches, so that other work on the machine
slows both alike, and CPU time is printed beside the clock's. The aim is a ratio of 1.2. At the
end, Pillow's batches by processes, for comparison.
"""

import argparse
import io
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import torch
from PIL import Image
from skimage import data

from brittle.transforms import Jpeg

BATCH = 20
JPEG = Jpeg(quality=75)
Mapper = Callable[[Callable[[np.ndarray], np.ndarray], list[np.ndarray]], Iterable[np.ndarray]]


def pillow_alone(levels: np.ndarray) -> np.ndarray:
    """One photo (512, 512, 3) through a JPEG file in memory."""
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "JPEG", quality=75, subsampling="4:2:0")
    with Image.open(file) as picture:
        return np.array(picture)


def ours(levels: np.ndarray) -> np.ndarray:
    """The same by brittle."""
    return JPEG.on_levels(levels, seed=0)


def timed(
    mapper: Mapper, function: Callable[[np.ndarray], np.ndarray], photos: list[np.ndarray]
) -> tuple[float, float]:
    """Milliseconds an image by the clock and of CPU."""
    start, cpu = time.perf_counter(), time.process_time()
    for _ in mapper(function, photos):
        pass
    took = time.perf_counter() - start, time.process_time() - cpu
    return took[0] / len(photos) * 1e3, took[1] / len(photos) * 1e3


def main() -> None:
    """Time both on the same photos."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    torch.set_num_threads(1)
    photo = data.astronaut()
    photos = [np.ascontiguousarray(np.roll(photo, 3 * k, (0, 1))) for k in range(BATCH)]
    both: list[list[tuple[float, float]]] = []
    with ThreadPoolExecutor(options.workers) as pool:
        for _ in range(options.images // BATCH):
            both.append([timed(pool.map, function, photos) for function in (pillow_alone, ours)])
    print(f"{options.images} images, {options.workers} threads; ms an image")
    for name, of in (("fastest batch", np.min), ("median", np.median), ("mean", np.mean)):
        (clock, cpu), (our_clock, our_cpu) = of(np.array(both), 0)
        print(
            f"{name:<14} clock: Pillow alone {clock:6.2f}, brittle {our_clock:6.2f}, ratio "
            f"{our_clock / clock:.2f}; CPU: {cpu:6.2f}, {our_cpu:6.2f}, {our_cpu / cpu:.2f}"
        )
    with ProcessPoolExecutor(options.workers) as processes:
        times = [timed(processes.map, pillow_alone, photos)[0] for _ in range(5)]
    print(f"Pillow alone by {options.workers} processes: fastest batch {min(times):.2f}")


if __name__ == "__main__":
    main()

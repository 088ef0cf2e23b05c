"""What brittle's JPEG costs beside Pillow's alone: `python benchmarks/codecs.py [--images 1000]`.

Photos of 512 px, as 8-bit arrays for Pillow and as float tensors in batches of 4 for brittle. Both
take turns, so that other work on the machine slows both alike; the fastest batch suffers least from
it. The aim is a ratio of 1.2 on two cores.
"""

import argparse
import io
import time

import numpy as np
import torch
from PIL import Image
from skimage import data

from brittle.images import from_bytes
from brittle.transforms import Jpeg

BATCH = 4


def pillow_alone(levels: np.ndarray) -> np.ndarray:
    """One photo (512, 512, 3) through a JPEG file in memory."""
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "JPEG", quality=75, subsampling="4:2:0")
    with Image.open(file) as picture:
        return np.array(picture)


def main() -> None:
    """Time both on the same photos."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    count = parser.parse_args().images
    photo = data.astronaut()
    photos = [np.ascontiguousarray(np.roll(photo, 3 * k, (0, 1))) for k in range(BATCH)]
    batch = from_bytes(np.stack(photos))
    jpeg = Jpeg(quality=75)
    jpeg.apply(batch)
    times: list[tuple[float, float]] = []
    for _ in range(count // BATCH):
        start = time.perf_counter()
        for levels in photos:
            pillow_alone(levels)
        between = time.perf_counter()
        jpeg.apply(batch)
        times.append((between - start, time.perf_counter() - between))
    for statistic, of in (("fastest batch", np.min), ("all batches", np.mean)):
        theirs, ours = of(times, 0) / BATCH * 1e3
        print(
            f"{statistic:<14} Pillow alone, one thread {theirs:6.2f} ms an image; "
            f"brittle, threads: {torch.get_num_threads()} {ours:6.2f} ms; ratio {ours / theirs:.2f}"
        )


if __name__ == "__main__":
    main()

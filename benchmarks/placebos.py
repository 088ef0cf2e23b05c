"""What a draw of noise takes of a core, by its kind, on a large photo, and of memory.

    python benchmarks/placebos.py [--size 4000x3000] [--draws 2]

The photo is scikit-image's astronaut, enlarged; its perturbation has a spread of 3 levels and is
smooth over about four pixels. What all draws of a file share is found before the clock starts.
"""

import argparse
import resource
import time

import numpy as np
import torch
from PIL import Image
from skimage import data
from torch.nn import functional

from brittle.images import from_bytes, quantise
from brittle.protections import Placebo
from brittle.record.arms import PLACEBO_KINDS


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="4000x3000")
    parser.add_argument("--draws", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    width, height = map(int, options.size.split("x"))
    enlarged = Image.fromarray(data.astronaut()).resize((width, height), Image.Resampling.LANCZOS)
    photo = from_bytes(np.array(enlarged)[None])
    coarse = torch.randn(1, 3, height // 4, width // 4, generator=torch.Generator().manual_seed(0))
    smooth = functional.interpolate(coarse, (height, width), mode="bicubic")
    file = quantise(photo + 3 * smooth / smooth.std() / 255)
    for kind in PLACEBO_KINDS:
        placebo = Placebo.parse(kind)
        placebo.draw(photo, file, seeds=[0])
        start = time.process_time()
        for seed in range(1, options.draws + 1):
            placebo.draw(photo, file, seeds=[seed])
        print(f"{kind:15} {(time.process_time() - start) / options.draws:.2f} s", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{'memory':15} {peak:.1f} GB at most, imports and all", flush=True)


if __name__ == "__main__":
    main()

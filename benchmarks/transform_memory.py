"""The peak memory of `brittle transform`, beside what is estimated before the work.

    python benchmarks/transform_memory.py [--side 2000] [--with TRANSFORM …]

Each row is a process of its own, on a square photo of that side; the peak is the kernel's (VmHWM),
so Linux only, less that of the same command on a photo of 16 px.
"""

import argparse

from brittle.transforms import Transform
from protection_memory import peak_of

TRANSFORMS = (
    *("jpeg:quality=75", "webp:quality=75", "avif:quality=75", "resize:factor=0.5", "flip"),
    *("rotate:degrees=90", "gaussian-blur:sigma=1", "median-blur:size=3", "bilateral:size=5"),
    *("guided:radius=4", "total-variation:weight=0.05", "nl-means:h=8/255"),
    *("gaussian-noise:sigma=4/255", "gamma:exponent=0.9", "screenshot"),
    "gaussian-blur:sigma=1+jpeg:quality=75",
)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, nargs="+", default=[2000])
    parser.add_argument("--with", dest="transforms", nargs="+", default=TRANSFORMS)
    options = parser.parse_args()
    for transform in options.transforms:
        least = peak_of("transform", transform, 16)
        for side in options.side:
            taken = (peak_of("transform", transform, side) - least) / side**2
            estimate = Transform.parse(transform).memory((side, side)) / side**2
            print(f"{transform:40} {side**2 / 1e6:5.1f} Mpx  {taken:4.0f} bytes a pixel, "
                  f"estimate {estimate:4.0f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()

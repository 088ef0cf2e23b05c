"""What scoring a trial costs beside its edits, on the embedded model at several sizes.

    python benchmarks/scoring.py [--sizes 128 256 512] [--threads 2]

Two of scikit-image's photos, five arms (original, protection, two placebos, gray), three
transforms, one prompt; wall time of two stages of one run, the reading of weights included.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from brittle.declaration.trial import Trial
from brittle.images import from_bytes, write_image
from brittle.progress import Advance
from brittle.trial.run import run


def write_photos(folder: Path) -> Path:
    """The astronaut and the cat as PNG files."""
    from skimage import data

    folder.mkdir()
    for name in ("astronaut", "chelsea"):
        write_image(folder / f"{name}.png", from_bytes(getattr(data, name)()[None]))
    return folder


def stages(trial: Trial, folder: Path) -> dict[str, tuple[float, int]]:
    """Seconds of each stage of a run, and how many pieces of work it had."""
    found = {}

    @contextmanager
    def timed(stage: str, total: int) -> Iterator[Advance]:
        start = time.perf_counter()
        yield lambda done: None
        found[stage] = time.perf_counter() - start, total

    run(trial, folder, progress=timed)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{'size':>5} {'ms an edit':>12} {'ms a cell':>12} {'scores / edits':>15}")
    with tempfile.TemporaryDirectory() as folder:
        photos = write_photos(Path(folder) / "photos")
        for size in options.sizes:
            trial = Trial(
                photos=str(photos),
                square=size,
                size=size,
                protections=("photoguard-encoder:steps=5",),
                transforms=("none", "jpeg:quality=75", "rotate:degrees=5"),
                prompts=("a sepia photo",),
            )
            found = stages(trial, Path(folder) / str(size))
            (edits, edited), (scores, scored) = found["edits"], found["scores"]
            each = (1000 * edits / edited, 1000 * scores / scored)
            print(f"{size:5} {each[0]:12.0f} {each[1]:12.0f} {scores / edits:15.2f}")


if __name__ == "__main__":
    main()

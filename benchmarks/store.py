"""What it costs that a folder knows whether its files are whole, on the embedded model.

    python benchmarks/store.py [--size 256] [--threads 2]

First the pieces, on one of scikit-image's photos; then all of a small trial's digests, notes and
checks as a share of its time.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from brittle.declaration.trial import Trial
from brittle.images import from_bytes, levels_from_png, png_bytes, write_image
from brittle.record import whole
from brittle.record.store import FolderStore, artifact
from brittle.trial.run import run

KEY = "ab" * 16


def seconds(work: Callable[[], object], times: int = 20) -> float:
    """The shortest time of some."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def pieces(folder: Path, size: int) -> None:
    """Print what each piece takes for one picture."""
    from skimage import data

    levels = data.astronaut()[:size, :size].copy()
    store = FolderStore(folder)
    store.write_levels(KEY, levels)
    name = artifact(KEY).as_posix()
    png = png_bytes(from_bytes(levels[None]))
    for said, work in {
        "write a picture": lambda: store.write_levels(KEY, levels),
        "of that, its note": lambda: store.write_note(KEY, {}),
        "check it": lambda: whole.read_picture(folder, name, noted=True),
        "decode it": lambda: levels_from_png(png),
    }.items():
        print(f"{said:<18} {1000 * seconds(work):6.2f} ms")


def share(trial: Trial, folder: Path) -> None:
    """Print the share of a trial's time that goes into digests, notes and checks."""
    spent, depth = [0.0], [0]

    def timed(work: Callable[..., Any]) -> Callable[..., Any]:
        def run_it(*arguments: Any, **options: Any) -> Any:
            depth[0] += 1
            start = time.perf_counter()
            try:
                return work(*arguments, **options)
            finally:
                depth[0] -= 1
                if not depth[0]:
                    spent[0] += time.perf_counter() - start

        return run_it

    for name in ("seal", "read_picture", "read_cell", "read_note", "sha256"):
        setattr(whole, name, timed(getattr(whole, name)))
    FolderStore._write_note = timed(FolderStore._write_note)  # type: ignore[method-assign]
    for said in ("new folder", "finished folder"):
        spent[0], start = 0.0, time.perf_counter()
        run(trial, folder)
        took = time.perf_counter() - start
        print(f"{said:<18} {took:6.1f} s, of that {spent[0]:.2f} s ({100 * spent[0] / took:.1f} %)")


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    from skimage import data

    with tempfile.TemporaryDirectory() as folder:
        pieces(Path(folder) / "one", options.size)
        photos = Path(folder) / "photos"
        photos.mkdir()
        for name in ("astronaut", "chelsea"):
            write_image(photos / f"{name}.png", from_bytes(getattr(data, name)()[None]))
        trial = Trial(
            photos=str(photos),
            square=options.size,
            size=options.size,
            protections=("photoguard-encoder:steps=20",),
            placebos=("noise",),
            transforms=("none", "jpeg:quality=75", "gaussian-blur:sigma=1"),
            prompts=("heavy rain",),
        )
        share(trial, Path(folder) / "out")


if __name__ == "__main__":
    main()

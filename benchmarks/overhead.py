"""What a trial takes beside its model: all of a run's time over that in protections and edits.

    python benchmarks/overhead.py [--size 256] [--steps 10] [--threads 2] [--models embedded tiny]

Two of scikit-image's photos, four arms, three transforms, three prompts, so that each received
picture is edited three times. Both numbers of a ratio come from one run; weights are read before
it. With ``--processor`` seconds are the processor's, of all threads, which other programs lengthen
less; waiting for the disk is then left out. ``tiny`` is Stable Diffusion 1.5's layout with random
weights, a quarter as wide or less.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from brittle.declaration.trial import Trial
from brittle.editors import Img2Img
from brittle.models import EditModel, load_model
from brittle.progress import ALL, Advance
from brittle.protections import Protection
from brittle.sources.photos import read_photos
from brittle.trial.plan import make_plan
from brittle.trial.run import run_plan
from scoring import write_photos

WHOLE = "the whole run"


class Clock:
    """Seconds, on one clock for all, and calls by name."""

    now: Callable[[], float] = time.perf_counter

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()

    def time(self, of: Any, method: str) -> None:
        """Count a method of a class from now on."""
        run: Callable[..., Any] = getattr(of, method)

        def timed(*arguments: Any, **options: Any) -> Any:
            start = Clock.now()
            try:
                return run(*arguments, **options)
            finally:
                self.seconds[method] += Clock.now() - start
                self.calls[method] += 1

        setattr(of, method, timed)

    @contextmanager
    def stage(self, name: str, total: float) -> Iterator[Advance]:
        """A progress that times its stages."""
        start = Clock.now()
        yield lambda done: None
        self.seconds[name] += Clock.now() - start


def measured(trial: Trial, folder: Path) -> Clock:
    """Run a trial on a model that was read before."""
    model = load_model(trial.model, size=trial.size)
    model.decode(model.encode(torch.rand(1, 3, model.size, model.size)))
    model.evaluate(model.encode(torch.rand(1, 3, 128, 128)), 500, model.embed([""]))
    plan = make_plan(trial, read_photos(trial), model)
    clock = Clock()
    with clock.stage(WHOLE, 1):
        run_plan(plan, model, folder, progress=clock.stage)
    return clock


def main() -> None:
    """Print the ratios, and where the rest of the time goes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--models", nargs="+", default=["embedded", "tiny"])
    parser.add_argument("--processor", action="store_true", help="seconds of the processor")
    options = parser.parse_args()
    if options.processor:
        Clock.now = time.process_time
    torch.set_num_threads(options.threads)
    clocks = Clock()
    for of, method in ((Img2Img, "edit"), (Protection, "together"), (EditModel, "_moments")):
        clocks.time(of, method)
    with tempfile.TemporaryDirectory() as folder:
        photos = write_photos(Path(folder) / "photos")
        for name in options.models:
            clocks.seconds.clear()
            clocks.calls.clear()
            trial = a_trial(name, photos, Path(folder), options.size, options.steps)
            found = measured(trial, Path(folder) / name)
            own = clocks.seconds["edit"] + clocks.seconds["together"]
            whole, loop = found.seconds[WHOLE], found.seconds["edits"]
            editor = clocks.seconds["edit"]
            stages = {one: s for one, s in found.seconds.items() if one not in (WHOLE, ALL)}
            print(
                f"{name}: {whole:.1f} s, its model {own:.1f} s: ratio {whole / own:.3f}, without "
                f"timing and scores {(whole - stages['timing'] - stages['scores']) / own:.3f}, "
                f"of edits alone {loop / editor:.3f}"
            )
            print("  stages: " + ", ".join(f"{one} {s:.1f} s" for one, s in stages.items()))
            calls = clocks.calls
            print(f"  calls of the encoder {calls['_moments']}, of the editor {calls['edit']}")


def a_trial(name: str, photos: Path, folder: Path, size: int, steps: int) -> Trial:
    """The trial, on the embedded model or one of Stable Diffusion's layout."""
    if name == "tiny":
        sys.path.append(str(Path(__file__).parent.parent))
        from tests.models.tiny import save

        name = str(save(folder / "tiny-sd"))
        size = min(size, 128)
    return Trial(
        photos=str(photos),
        model=name,
        square=size,
        size=size,
        protections=("photoguard-encoder:steps=10",),
        placebos=("noise",),
        transforms=("none", "jpeg:quality=75", "gaussian-blur:sigma=1"),
        editors=(f"img2img:num_inference_steps={2 * steps},strength=0.5",),
        prompts=("heavy rain", "a sepia photo", "night"),
        metrics=("perceptual", "psnr"),
        primary={"metric": "perceptual"},
        batch=8,
    )


if __name__ == "__main__":
    main()

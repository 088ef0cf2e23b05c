"""What scoring costs: milliseconds an edit for each metric, alone and together.

    python benchmarks/metrics.py [--model embedded] [--edits 32] [--threads 2]

An edit is compared with a control (psnr, ssim, latent, perceptual) and with the photo (follow,
keep). Networks remember the controls and photos that they have seen, as in a trial.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from brittle.errors import Unavailable
from brittle.metrics import Metric
from brittle.models import load_model
from brittle.networks.feature_cache import MEMORY

NAMES = ("psnr", "ssim", "latent", "perceptual", "follow", "keep")


def photo(size: int) -> Tensor:
    """scikit-image's astronaut at this size, (1, 3, size, size)."""
    from skimage import data

    image = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None] / 255
    return torch.nn.functional.interpolate(image, (size, size), mode="bilinear", antialias=True)


def milliseconds(run: Callable[[], object], edits: int) -> str:
    """Wall and processor time an edit; the latter is what counts on a busy machine."""
    wall, processor = time.perf_counter(), time.process_time()
    run()
    times = time.perf_counter() - wall, time.process_time() - processor
    return " ".join(f"{seconds * 1000 / edits:8.2f}" for seconds in times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--size", type=int, default=128, help="long side in px")
    parser.add_argument("--edits", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = load_model(options.model, size=options.size, device="cpu")
    control = photo(model.size).expand(options.edits, -1, -1, -1)
    noise = torch.randn(control.shape, generator=torch.Generator().manual_seed(0))
    edits = (control + 0.05 * noise).clamp(0, 1)
    prompts = ["heavy rain"] * options.edits

    def score(name: str) -> None:
        Metric.parse(name).score(edits, control, prompts=prompts, model=model)

    print(f"{options.edits} edits of {model.size} px, {options.threads} threads")
    print(f"{'ms an edit':12} {'wall':>8} {'CPU':>8}")
    found = []
    for name in NAMES:
        try:
            score(name)  # imports and weights
        except Unavailable as reason:
            print(f"{name:12} {reason}")
            continue
        MEMORY.forget()
        print(f"{name:12} {milliseconds(lambda name=name: score(name), options.edits)}")
        found.append(name)
    MEMORY.forget()
    print(f"{'together':12} {milliseconds(lambda: [score(n) for n in found], options.edits)}")


if __name__ == "__main__":
    main()

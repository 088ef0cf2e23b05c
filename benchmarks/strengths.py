"""What mild, medium and strong come to: visibility, shift of the latent, and cost, by preset.

    python benchmarks/strengths.py PHOTOS… [--presets NAME…] [--size 512] [--rows rows.jsonl]

PHOTOS are files or folders; each photo is protected at its own size, as the model sees it at
``--size``, within each preset's own budget and within each strength. `noise` stands for white
noise brought into each strength, which takes no steps and no model. Prints a table in Markdown:

- PSNR in dB: median [lowest, highest] over photos; medians of the largest change and of the
  perceptual distance: all of the 8-bit file;
- shift: how far the latent moved (root mean square) beyond white noise of the same largest change
  and PSNR, mean over photos; the same where photo, protected and noisy file went through JPEG 75;
- steps: CPU seconds a photo over those of one bare pass through the encoder and back, median.

``--rows`` keeps each measurement and skips those it holds, so a run can be stopped and resumed.
"""

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brittle import appearance
from brittle.api.pictures import read_protection
from brittle.budgets import STRENGTHS, read_budget
from brittle.images import read_photo
from brittle.models import EditModel, load_model
from brittle.networks.feature_cache import MEMORY
from brittle.protections import Noise
from brittle.transforms import Jpeg

NOISE = "noise"
PRESETS = [
    NOISE,
    "photoguard-encoder",
    "photoguard-encoder-jpeg",
    "encoder-away-jpeg",
    "editshield",
]
OWN = "own"
Row = dict[str, Any]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rows", type=Path)
    options = parser.parse_args()
    rows: list[Row] = []
    if options.rows and options.rows.exists():
        rows = [json.loads(line) for line in options.rows.read_text().splitlines()]
    done = {(row["preset"], row["budget"], row["photo"]) for row in rows}
    model = load_model(options.model, size=options.size)
    each = itertools.product(options.presets, files(options.photos), (OWN, *STRENGTHS))
    for preset, path, budget in each:
        if (preset, budget, path.name) not in done and (preset, budget) != (NOISE, OWN):
            rows.append(measure(model, path, preset, budget))
            if options.rows:
                with options.rows.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
    print(f"{model}, {options.size} px\n")
    print("\n".join(table(rows, options.presets)))


def files(paths: list[Path]) -> list[Path]:
    """The photos, those of folders by name."""
    return [
        one for path in paths for one in (sorted(path.glob("*.png")) if path.is_dir() else [path])
    ]


def measure(model: EditModel, path: Path, preset: str, budget: str) -> Row:
    """One photo under one preset and budget."""
    photo = read_photo(path).image
    if preset == NOISE:
        noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
        protected = read_budget(budget).round_inside(photo, photo + 0.03 * noise)
        return {
            **{"preset": preset, "budget": budget, "photo": path.name},
            **appearance.essentials(photo, protected),
            **{"steps": 0, "shift": 0, "shift 75": 0},
        }
    component = read_protection(preset, None if budget == OWN else budget)
    MEMORY.forget()
    before = seconds(bare_pass, model, photo)
    start = time.process_time()
    protected = component(model, photo, seeds=[0])
    took = time.process_time() - start
    bare = (before + seconds(bare_pass, model, photo)) / 2
    found = appearance.essentials(photo, protected)
    noise = Noise().draw(photo, protected, seeds=[0])
    row = {"preset": preset, "budget": budget, "photo": path.name, "steps": took / bare}
    row |= {name: found[name] for name in ("PSNR", "largest change", "perceptual")}
    for name, transform in {"shift": None, "shift 75": Jpeg(quality=75)}.items():
        row[name] = shift(model, photo, protected, transform) - shift(
            model, photo, noise, transform
        )
    return row


def seconds(work: Any, *arguments: Any) -> float:
    """CPU seconds of the shortest of three calls."""
    times = []
    for _ in range(3):
        start = time.process_time()
        work(*arguments)
        times.append(time.process_time() - start)
    return min(times)


def bare_pass(model: EditModel, photo: Tensor) -> None:
    """A pass through the encoder and back."""
    leaf = photo.to(model.device, copy=True).requires_grad_()
    torch.autograd.grad(model.encode(model.fit(leaf)).square().sum(), leaf)


@torch.no_grad()
def shift(model: EditModel, photo: Tensor, other: Tensor, transform: Jpeg | None) -> float:
    """The root mean square by which the latent of ``other`` differs from the photo's."""
    if transform is not None:
        photo, other = (transform.apply(image, seeds=[0]) for image in (photo, other))
    latents = (model.encode(model.fit(image.to(model.device))) for image in (photo, other))
    return float(torch.sub(*latents).square().mean().sqrt())


def table(rows: list[Row], presets: list[str]) -> Iterator[str]:
    """The lines of the table."""
    yield (
        "| preset | budget | PSNR, dB | levels | distance | shift | after JPEG 75 | steps | n |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
    for preset, budget in itertools.product(presets, (OWN, *STRENGTHS)):
        these = [row for row in rows if (row["preset"], row["budget"]) == (preset, budget)]
        if these:
            column = {name: [row[name] for row in these] for name in these[0]}
            psnr, median = column["PSNR"], statistics.median
            yield (
                f"| `{preset}` | {budget} "
                f"| {median(psnr):.1f} [{min(psnr):.1f}, {max(psnr):.1f}] "
                f"| {median(column['largest change']):.0f} | {median(column['perceptual']):.2f} "
                f"| {statistics.mean(column['shift']):.3f} "
                f"| {statistics.mean(column['shift 75']):.3f} "
                f"| {median(column['steps']):.0f} | {len(these)} |"
            )


if __name__ == "__main__":
    main()

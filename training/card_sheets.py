"""The card's two sheets of pictures: what looks do at the model's own size, and the paper's rows.

python -m training.card_sheets --config training/config.yaml
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from torch import Tensor

from brittle.networks.prompt_classes import PROMPT_CLASSES
from training.config import Config, from_command_line
from training.data import to_pixels, to_tensor
from training.evaluate import Bench, compressed
from training.sheets import Column, labelled_sheet
from training.vulnerability import placebo, sample_pictures

SIZE = 512
SAMPLES = ("astronaut", "cat", "coffee", "rocket")
PROMPTS = ("a sepia photo", "night")
LOOKS_SIDE, ROWS_SIDE = 168, 208
"""px a side at which pictures are shown."""


def make_sheets(config: Config) -> list[Path]:
    """``looks.jpg`` and ``paper-rows.jpg`` beside the weights, of scikit-image's photos."""
    bench = Bench(config, SIZE)
    photos = to_tensor(sample_pictures(SIZE))
    sheets = {"looks": looks(bench, photos), "paper-rows": paper_rows(bench, photos)}
    files = []
    for name, sheet in sheets.items():
        files.append(config.export / f"{name}.jpg")
        sheet.save(files[-1], quality=85, optimize=True)
    return files


def looks(bench: Bench, photos: Tensor) -> Image.Image:
    """Photos down; across: the photo, autoencoded, edited without a prompt, then a look each."""
    columns = [column("photo", photos), column("autoencoded", bench.autoencoded(photos))]
    columns += [column("no prompt", bench.edit(photos, ""))]
    columns += [column(look, bench.edit(photos, look)) for look in PROMPT_CLASSES]
    return labelled_sheet(columns, SAMPLES, side=LOOKS_SIDE)


def paper_rows(bench: Bench, photos: Tensor) -> Image.Image:
    """Photos down; across: the five states of a photo, and then their edits by each prompt."""
    protected = bench.protect(photos)
    states = {
        "photo": photos,
        "random ±12 levels": placebo(photos),
        "protected": protected,
        "protected, JPEG 75": compressed(protected, 75),
        "photo, JPEG 75": compressed(photos, 75),
    }
    columns = [column(name, image, "the picture") for name, image in states.items()]
    for prompt in PROMPTS:
        columns += [
            column(name, bench.edit(image, prompt), f"its edit, “{prompt}”")
            for name, image in states.items()
        ]
    return labelled_sheet(columns, SAMPLES, side=ROWS_SIDE)


def column(title: str, image: Tensor, group: str = "") -> Column:
    """Pictures (N, 3, H, W) under a title."""
    return Column(title, [Image.fromarray(pixels) for pixels in to_pixels(image)], group)


if __name__ == "__main__":
    for file in make_sheets(from_command_line(__doc__ or "")):
        print(file)

"""Thresholds of usable edits for a model of one's own, from photos that are in no trial.

    python benchmarks/calibrate.py --model DIR --clip DIR --photos FOLDER \
        --prompt "a dog in heavy rain" --prompt "a watercolour of a dog" [--out FILE]

Edits every photo with every prompt and with none, by img2img with its default settings. At least
40 photos, cropped square, should be there. The embedded model's own calibration is training's.
"""

import argparse
from pathlib import Path

import torch

from brittle.editors import Editor
from brittle.images import read_photo
from brittle.metrics.usable import CALIBRATION, Follow, Keep, calibrate
from brittle.models import load_model


def main() -> None:
    """Write the calibration, and say what it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--prompt", action="append", required=True)
    parser.add_argument("--editor", default="img2img")
    parser.add_argument("--clip", help="directory or downloaded hub id; none: look classifier")
    parser.add_argument("--keep-clip", help="for keep, if another: SD 1.x's safety_checker")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    model = load_model(options.model)
    editor = Editor.parse(options.editor)
    paths = sorted(path for path in options.photos.iterdir() if path.is_file())
    photos = torch.cat([square(read_photo(path).image, model.size) for path in paths])
    found = calibrate(
        lambda image, prompts, seeds: editor.edit(model, image, prompts=prompts, seeds=seeds),
        model,
        photos,
        options.prompt,
        source=f"{len(paths)} photos of {options.photos.name}",
        follow=Follow(clip=options.clip),
        keep=Keep(clip=options.keep_clip or options.clip),
    )
    out = options.out or (model.directory or Path()) / CALIBRATION
    found.save(out)
    print(found.model_dump_json(indent=1))
    print(f"written to {out}")


def square(image: torch.Tensor, size: int) -> torch.Tensor:
    """The centre of a photo, (1, 3, size, size)."""
    side = min(image.shape[-2:])
    top, left = ((length - side) // 2 for length in image.shape[-2:])
    centre = image[..., top : top + side, left : left + side]
    return torch.nn.functional.interpolate(
        centre, (size, size), mode="bicubic", antialias=True
    ).clamp(0, 1)


if __name__ == "__main__":
    main()

"""What reducing a photo hides of transforms: their trace, and what is left before and after.

``python benchmarks/reduction.py PHOTO… --size 128 --size 256`` prints, for each size at which the
embedded model looks and each transform, means over the photos: the trace (`auditing.reduction`),
and the share of the encoder's shift that is left where the photo is transformed at its own size,
and where it is reduced first. The two shares agree where the trace is near 1.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from brittle import api
from brittle.auditing.reduction import TracedTransform, trace
from brittle.images import read_photo
from brittle.models import EditModel, load_model
from brittle.protections import NoiseSpectrum
from brittle.transforms import Transform
from brittle.trial.stages import as_seen

TRANSFORMS = (
    *("jpeg:quality=95", "jpeg:quality=85", "jpeg:quality=65", "gaussian-blur:sigma=1"),
    *("resize:factor=0.5", "rotate:degrees=5", "flip", "flip+jpeg:quality=75"),
)
DRAWS = 3


def rows_of(photo: Tensor, model: EditModel, steps: int) -> list[Tensor]:
    """The photo, protected, and with random perturbations as large, (1, 3, H, W) each."""
    protected = api.protect(photo, f"photoguard-encoder:steps={steps}", model=model)
    noise = (NoiseSpectrum().draw(photo, protected, seeds=[draw]) for draw in range(DRAWS))
    return [photo, protected, *noise]


@torch.inference_mode()
def beyond_noise(rows: list[Tensor], tried: TracedTransform, model: EditModel) -> float:
    """How far the encoder's latents move beyond noise, RMS."""
    starts = (as_seen(row, model) if tried.reduced_first else row for row in rows)
    received = (tried.transform.apply(start, seeds=[0]) for start in starts)
    control, *others = (model.encode(model.fit(one)) for one in received)
    protected, *noise = (float((one - control).square().mean().sqrt()) for one in others)
    return protected - sum(noise) / len(noise)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--size", dest="sizes", action="append", type=int)
    parser.add_argument("--steps", type=int, default=20, help="of the protection")
    options = parser.parse_args()
    photos = [read_photo(path).image for path in options.photos]
    print(
        "| size | transform | trace | left: at full size | reduced first |\n|---|---|---|---|---|"
    )
    for size in options.sizes or [128, 256, 384]:
        model = load_model("embedded", size=size)
        shown = [rows_of(photo, model, options.steps) for photo in photos]
        whole = [
            beyond_noise(rows, TracedTransform(Transform.parse("none"), 1), model) for rows in shown
        ]
        for text in TRANSFORMS:
            transform = Transform.parse(text)
            seen = sum(trace(transform, photo, model, seed=0) for photo in photos) / len(photos)
            left = [
                sum(
                    beyond_noise(rows, TracedTransform(transform, at), model) / at_first
                    for rows, at_first in zip(shown, whole, strict=True)
                )
                / len(photos)
                for at in (1.0, 0.0)
            ]
            print(f"| {size} | {text} | {seen:.2f} | {left[0]:.2f} | {left[1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()

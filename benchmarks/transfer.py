"""Whether a protection made on one model's encoder works on another's: a matrix, by latents.

    python benchmarks/transfer.py --model embedded --model FOLDER [--photos FOLDER] [--side 128]

Rows: the model that the encoder protection was made on, and all of them at once (``with_models``).
Columns: the model that sees the file. Printed is the reach: the distance of the latents to the
photo's, less that of a noise placebo of the same size, as a share of what a gray picture does, less
the placebo; means over the photos. 0 is no more than noise, 1 is as if the photo were gone.
"""

import argparse

import torch
from torch import Tensor

from brittle.metrics import PSNR, Latent
from brittle.models import EditModel, load_model
from brittle.protections import EncoderProtection, Noise
from brittle.sources.photos import load_photos
from brittle.transforms import Transform

GRAY = 0.5


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", required=True, help="twice or more")
    parser.add_argument("--photos", default="sample", help="a folder; by default eight samples")
    parser.add_argument("--side", type=int, default=128, help="of the squares in pixels")
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--radius", default="12.75/255")
    parser.add_argument("--transform", default="none", help="what the file passes first")
    options = parser.parse_args()
    models = {name: load_model(name) for name in options.model}
    photos = [of.image for of in load_photos(options.photos, square=options.side).values()]
    photo = torch.cat(photos[: options.count])
    transform = Transform.read(options.transform)
    print(f"{len(photo)} photos, {options.side} px, {options.transform}; seen by:", *models)
    for made_on in [*models, "all of them"]:
        others = tuple(models)[1:] if made_on == "all of them" else ()
        protection = EncoderProtection(
            budget=f"linf:{options.radius}", steps=options.steps, with_models=others
        )
        on = models.get(made_on, next(iter(models.values())))
        file = protection(on, photo, seeds=range(len(photo)))
        reaches = [f"{reach(model, transform, photo, file):.3f}" for model in models.values()]
        psnr = float(PSNR().score(file, photo).mean())
        print(f"made on {made_on} ({psnr:.1f} dB):", *reaches, flush=True)


def reach(model: EditModel, transform: Transform, photo: Tensor, file: Tensor) -> float:
    """What the file does to a model's latents beyond noise, as a share of what gray does."""
    seeds = range(len(photo))
    control = transform.apply(photo, seeds=seeds)

    def moved(image: Tensor) -> float:
        received = transform.apply(image, seeds=seeds)
        return float(Latent().score(received, control, model=model).mean())

    noise = moved(Noise().draw(photo, file, seeds=seeds))
    return (moved(file) - noise) / (moved(torch.full_like(photo, GRAY)) - noise)


if __name__ == "__main__":
    main()

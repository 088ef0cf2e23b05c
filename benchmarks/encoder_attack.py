"""What the encoder protection costs beside bare passes through the encoder, and what bfloat16 does.

    python benchmarks/encoder_attack.py [--model embedded] [--side 128 256 512 1024] [--batch 8]
    python benchmarks/encoder_attack.py --losses FOLDER [--side 256] [--with PRESET …]

The first prints, for each size of photo and each dtype, seconds a photo and step: the bound, which
is a forward and backward pass through the encoder and nothing else in the batch of 1, 2, 4 or 8
photos that is fastest (of photos larger than the model's size, through the resizing too); ours,
`EncoderProtection` on ``--batch`` photos, protection and rounding included; and the median of their
ratio over alternating repeats (aim: at most 1.05).

The second protects the photos of a folder, reduced to ``--side``, with the gradient in float32 and
in bfloat16, and evaluates both in float32: the objective that either ends with, the same after JPEG
75, and how far the latent moved, each as bfloat16's over float32's.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from brittle.images import quantise, read_photo
from brittle.models import EditModel, load_model
from brittle.protections import EncoderProtection, Protection
from brittle.transforms import Transform

BATCHES = (1, 2, 4, 8)
PRESETS = ("photoguard-encoder", "encoder-away-jpeg", "photoguard-demo")
DTYPES = ("float32", "bfloat16")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--side", type=int, nargs="+", default=[128, 256, 512, 1024])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dtype", nargs="+", default=DTYPES, choices=DTYPES)
    parser.add_argument("--losses", type=Path, metavar="FOLDER")
    parser.add_argument("--photos", type=int, default=8)
    parser.add_argument("--with", dest="presets", nargs="+", default=PRESETS)
    options = parser.parse_args()
    if options.losses:
        for side in options.side:
            compare_losses(options, side)
        return
    print("side  dtype     bound (batch)      ours   ratio")
    for side in options.side:
        for dtype in options.dtype:
            compare_times(options, side, load_model(options.model, dtype=dtype))


def compare_times(options: argparse.Namespace, side: int, model: EditModel) -> None:
    """Print one row of the table."""
    image = samples(options.batch, side).to(model.device)
    protection, seeds = EncoderProtection(steps=options.steps), range(options.batch)
    batches = [batch for batch in BATCHES if batch <= options.batch]
    bare = {batch: fastest(model, image[:batch]) / batch for batch in batches}
    best = min(bare, key=bare.__getitem__)
    passes = options.steps * options.batch // best
    bounds, ours = [], []
    for _ in range(options.repeats):
        bounds.append(timed(model, lambda: [bare_pass(model, image[:best]) for _ in range(passes)]))
        ours.append(timed(model, lambda: protection(model, image, seeds=seeds)))
    ratio = statistics.median(b / a for a, b in zip(bounds, ours, strict=True))
    each = 1000 / (options.batch * options.steps)
    print(f"{side:4}  {str(model.attack_dtype)[6:]:8}  {min(bounds) * each:6.1f} ms ({best})  "
          f"{min(ours) * each:6.1f} ms   {ratio:.3f}", flush=True)  # fmt: skip


def fastest(model: EditModel, image: Tensor) -> float:
    """Seconds of one bare pass, the fastest of several once it is warm."""
    return min(timed(model, lambda: bare_pass(model, image)) for _ in range(4))


def timed(model: EditModel, run: Callable[[], object]) -> float:
    """Seconds that a call takes, its work on a GPU included."""
    start = time.perf_counter()
    run()
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def bare_pass(model: EditModel, image: Tensor) -> None:
    """Forward and backward through the encoder, and nothing else."""
    leaf = image.detach().requires_grad_()
    seen = model.fit(leaf) if max(image.shape[-2:]) > model.size else leaf
    torch.autograd.grad(model.encode_to_attack(seen).sum(), leaf)


def samples(count: int, side: int) -> Tensor:
    """Crops of scikit-image's photos, (count, 3, side, side) on the 8-bit grid."""
    from skimage import data

    sources = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    crops = []
    for index in range(count):
        source = torch.from_numpy(sources[index % len(sources)][..., :3].copy()).permute(2, 0, 1)
        square = source[None, :, :300, index * 8 : index * 8 + 300].float() / 255
        crops.append(functional.interpolate(square, (side, side), mode="bicubic", antialias=True))
    return quantise(torch.cat(crops))


def compare_losses(options: argparse.Namespace, side: int) -> None:
    """Print, for each preset, what bfloat16's attack ends with over what float32's does."""
    paths = sorted(path for path in options.losses.rglob("*.png"))
    paths = paths[:: max(1, len(paths) // options.photos)][: options.photos]
    model = load_model(options.model)
    photos = [quantise(reduced(read_photo(path).image, side)).to(model.device) for path in paths]
    models = {dtype: load_model(options.model, dtype=dtype) for dtype in DTYPES}
    for preset in options.presets:
        protection = Protection.parse(preset)
        assert isinstance(protection, EncoderProtection)
        found = []
        for seed, photo in enumerate(photos):
            ends = [
                judged(model, protection, photo, protection(one, photo, seeds=[seed]))
                for one in models.values()
            ]
            found.append(ends[1] / ends[0])
        for name, ratios in zip(
            ("loss", "after JPEG 75", "shift"), zip(*found, strict=True), strict=True
        ):
            each = torch.stack(ratios)
            print(f"{side:4}  {preset:20}  {name:14} mean {each.mean():.4f}, {each.min():.3f} to "
                  f"{each.max():.3f}, n = {len(each)}", flush=True)  # fmt: skip


def reduced(image: Tensor, side: int) -> Tensor:
    """The photo with its long side at most ``side``."""
    scale = min(1.0, side / max(image.shape[-2:]))
    shape = [max(1, round(length * scale)) for length in image.shape[-2:]]
    return functional.interpolate(image, shape, mode="bilinear", antialias=True)


@torch.no_grad()
def judged(
    model: EditModel, protection: EncoderProtection, photo: Tensor, protected: Tensor
) -> Tensor:
    """In float32: the distance to the goal, that after JPEG 75, and how far the latent moved."""
    jpeg = Transform.parse("jpeg:quality=75")
    latents = {}
    for name, image in {"photo": photo, "protected": protected}.items():
        received = jpeg.apply(image.cpu(), seeds=[0])
        latents[name] = [model.encode(model.fit(each)) for each in (image, received)]
    moved, moved_after = (
        (a - b).norm() for a, b in zip(latents["protected"], latents["photo"], strict=True)
    )
    if protection.target == "away":
        return torch.stack([moved.square(), moved_after.square(), moved])
    goal = torch.zeros_like(latents["photo"][0])
    if protection.target == "gray":
        goal = model.encode(model.fit(torch.full_like(photo, 0.5)))
    distances = [(each - goal).square().sum() for each in latents["protected"]]
    return torch.stack([*distances, moved])


if __name__ == "__main__":
    main()

"""What the encoder protection costs beside bare passes through the encoder, and what bfloat16 does.

    python benchmarks/encoder_attack.py [--model embedded] [--side 256 512 1024] [--steps 40]
    python benchmarks/encoder_attack.py --batches 1 2 4 8 [--side 512]
    python benchmarks/encoder_attack.py --losses FOLDER [--side 256] [--with PRESET …]

The first prints, for each size of photo and each dtype: the bound, which is a forward and backward
pass through the encoder and nothing else (of photos larger than the model's size, through the
resizing too); a step of ours, `EncoderProtection`; the median of their ratio with its 95 % interval
(aim: at most 1.05), each step of a running protection being followed by a bare pass on as many
photos; and what a call costs beside its steps. Seconds are medians, of as many photos as go
through the encoder together (`at_once`).

The second prints the bare pass's milliseconds a photo, by the number of photos in it.

The third protects the photos of a folder, reduced to ``--side``, with the gradient in float32 and
in bfloat16, and evaluates both in float32: the objective that either ends with, the same after JPEG
75, and how far the latent moved, each as bfloat16's over float32's.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from brittle.images import quantise, read_photo
from brittle.models import EditModel, load_model
from brittle.protections import EncoderProtection, Protection, Trace, at_once
from brittle.transforms import Transform

PRESETS = ("photoguard-encoder", "encoder-away-jpeg", "photoguard-demo")
DTYPES = ("float32", "bfloat16")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--side", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--dtype", nargs="+", default=DTYPES, choices=DTYPES)
    parser.add_argument("--batches", type=int, nargs="+")
    parser.add_argument("--losses", type=Path, metavar="FOLDER")
    parser.add_argument("--photos", type=int, default=8)
    parser.add_argument("--with", dest="presets", nargs="+", default=PRESETS)
    options = parser.parse_args()
    if options.losses:
        for side in options.side:
            compare_losses(options, side)
        return
    for side in options.side:
        for dtype in options.dtype:
            model = load_model(options.model, dtype=dtype)
            if options.batches:
                compare_batches(options.batches, side, model)
            else:
                compare_steps(options.steps, side, model)


def compare_steps(steps: int, side: int, model: EditModel) -> None:
    """Print what a protection's steps cost beside bare passes that alternate with them."""
    image = samples(at_once(side, side), side).to(model.device)
    seeds = range(len(image))
    bare, ours = [], []

    def on_step(*_: int) -> None:
        synchronise(model)
        ours.append(time.perf_counter() - since[0])
        bare.append(timed(model, lambda: bare_pass(model, image)))
        since[0] = time.perf_counter()

    since = [time.perf_counter()]
    EncoderProtection(steps=steps + 1)(model, image, seeds=seeds, trace=Trace(on_step=on_step))
    del bare[0], ours[0]  # the first step prepares: weights in the attack's dtype, the target
    ratios = sorted(step / passed for step, passed in zip(ours, bare, strict=True))
    low, high = interval(ratios)
    once = EncoderProtection(steps=1)
    beside = statistics.median(
        timed(model, lambda: once(model, image, seeds=seeds))
        - timed(model, lambda: bare_pass(model, image))
        for _ in range(5)
    )
    print(f"{side:4} px  {str(model.attack_dtype)[6:]:8}  {len(image)} at once  "
          f"bound {1000 * statistics.median(bare):6.1f} ms  "
          f"ours {1000 * statistics.median(ours):6.1f} ms  "
          f"ratio {statistics.median(ratios):.3f} [{low:.3f}, {high:.3f}], n = {len(ratios)}  "
          f"beside the steps {1000 * beside:5.0f} ms", flush=True)  # fmt: skip


def interval(ordered: list[float]) -> tuple[float, float]:
    """The 95 % interval of a median by the ranks of sorted values, whatever their distribution."""
    at = max(0, math.floor(len(ordered) / 2 - 0.98 * len(ordered) ** 0.5) - 1)
    return ordered[at], ordered[-1 - at]


def compare_batches(batches: list[int], side: int, model: EditModel) -> None:
    """Print a bare pass's milliseconds a photo, the least of several rounds over all batches."""
    image = samples(max(batches), side).to(model.device)
    rounds = [
        [timed(model, lambda n=n: bare_pass(model, image[:n])) / n for n in batches]
        for _ in range(6)
    ]
    each = (f"{n}: {1000 * min(row[at] for row in rounds):.1f}" for at, n in enumerate(batches))
    print(f"{side:4} px  {str(model.attack_dtype)[6:]:8}  ms a photo by batch  {'  '.join(each)}",
          flush=True)  # fmt: skip


def timed(model: EditModel, run: Callable[[], object]) -> float:
    """Seconds that a call takes, its work on a GPU included."""
    start = time.perf_counter()
    run()
    synchronise(model)
    return time.perf_counter() - start


def synchronise(model: EditModel) -> None:
    """Wait for what a GPU was given to do."""
    if model.device.type == "cuda":
        torch.cuda.synchronize()


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

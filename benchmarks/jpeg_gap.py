"""How near differentiable JPEGs are to the real codec, and how far their gradients carry.

    python benchmarks/jpeg_gap.py [agreement gradient protection] [--photos 4] [--side 64]
        [--qualities 90 75 50] [--steps 20] [--only "kornia" "soft values, cosine" …]

``agreement``: PSNR in dB between each one's pixels and Pillow's, on whole photos.
``gradient``: the encoder protection's loss (squared distance of the latent to a gray picture's) of
the embedded model *after the real codec*; how much one step of 1/255 or 4/255 along the sign of
each gradient lowers it, and how each gradient's slope correlates with real finite differences.
``protection``: what PGD with steps of 0.0075 in 8/255 leaves of that loss after the real codec.
The lower two use crops of scikit-image's photos, halved so that their own JPEG's traces are gone.
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch
from skimage import data
from torch import Tensor

from brittle.images import from_bytes
from brittle.models import EditModel, load_model
from brittle.transforms import Jpeg
from brittle.transforms.soft_jpeg import soft_jpeg, soften, straight

PHOTOS = {
    "astronaut": data.astronaut,
    "chelsea": data.chelsea,
    "coffee": data.coffee,
    "rocket": data.rocket,
}
STEPS = (1 / 255, 4 / 255)
Surrogate = Callable[[Tensor, Jpeg], Tensor]


def kornia(image: Tensor, jpeg: Jpeg) -> Tensor:
    """Kornia's, which knows 4:2:0 alone."""
    from kornia.enhance import jpeg_codec_differentiable

    received: Tensor = jpeg_codec_differentiable(image, image.new_tensor([jpeg.quality]))
    return received


def with_rounding(rounding: Callable[[Tensor], Tensor]) -> Surrogate:
    """Ours with another way of rounding coefficients."""
    return lambda image, jpeg: soft_jpeg(image, jpeg.quality, jpeg.subsampling, rounding)


def whole(value: Tensor) -> Tensor:
    """Rounded as libjpeg rounds: halves away from 0."""
    return value.sign() * (value.abs() + 0.5).floor()


def cubic(value: Tensor) -> Tensor:
    """Shin and Song's soft rounding (2017)."""
    return value.round() + (value - value.round()) ** 3


def hard(soft: Tensor) -> Callable[[Tensor], Tensor]:
    """Rounded in value, with the slope of a soft rounding."""
    return lambda value: straight(soft(value), whole(value))


def behind(image: Tensor, jpeg: Jpeg) -> Tensor:
    """The real codec's pixels with a slope of 1 for the whole of it."""
    return straight(image, jpeg.apply(image.detach()))


SURROGATES: dict[str, Surrogate] = {
    "none (plain gradient)": lambda image, jpeg: image,
    "real codec, slope 1": behind,
    "kornia": kornia,
    "soft values, cubic": with_rounding(cubic),
    "soft values, cosine": with_rounding(soften),
    "half hard values, cosine": with_rounding(
        lambda value: straight(soften(value), (soften(value) + whole(value)) / 2)
    ),
    "hard values, cubic": with_rounding(hard(cubic)),
    "hard values, cosine": with_rounding(hard(soften)),
    "hard values, half cosine": with_rounding(hard(lambda value: (value + soften(value)) / 2)),
    "hard values, slope 1": with_rounding(hard(lambda value: value)),
}


def agreement() -> None:
    """Print the PSNR between surrogates and Pillow."""
    qualities = (95, 90, 85, 75, 65, 50, 30, 10)
    print("PSNR to Pillow in dB at quality " + " ".join(f"{q:>6}" for q in qualities))
    for subsampling in ("4:2:0", "4:2:2", "4:4:4"):
        for name in ("kornia", "soft values, cosine", "hard values, slope 1"):
            if name not in SURROGATES or (name == "kornia" and subsampling != "4:2:0"):
                continue
            for photo, load in PHOTOS.items():
                image = from_bytes(load()[None])
                row = []
                for quality in qualities:
                    jpeg = Jpeg(quality=quality, subsampling=subsampling)
                    with torch.no_grad():
                        near = SURROGATES[name](image, jpeg)
                    error = (near - jpeg.apply(image)).square().mean().item()
                    row.append(-10 * np.log10(error))
                values = " ".join(f"{value:6.1f}" for value in row)
                print(f"{subsampling} {name:<20} {photo:<9} {values}", flush=True)


class Attack:
    """The encoder protection's loss on crops of photos."""

    def __init__(self, model: EditModel, count: int, side: int) -> None:
        sources = [load() for load in PHOTOS.values()]
        crops = [
            sources[k % 4][10 + 16 * (k // 4) :, 90 + 48 * (k // 4) :][: 2 * side, : 2 * side]
            for k in range(count)
        ]
        large = from_bytes(np.stack(crops))
        self.model = model
        self.images = (torch.nn.functional.avg_pool2d(large, 2) * 255).round() / 255
        with torch.no_grad():
            self.target = model.encode(torch.full_like(self.images[:1], 0.5))

    def loss(self, image: Tensor) -> Tensor:
        """(N,)."""
        latent = self.model.encode(image)
        return (latent - self.target).square().flatten(1).sum(1)

    @torch.no_grad()
    def real(self, image: Tensor, jpeg: Jpeg) -> Tensor:
        """The loss after the real codec, (N,)."""
        return self.loss(jpeg.apply(image))

    def gradient(self, image: Tensor, jpeg: Jpeg, surrogate: Surrogate) -> Tensor:
        """The gradient of the loss behind a surrogate."""
        leaf = image.detach().requires_grad_()
        return torch.autograd.grad(self.loss(surrogate(leaf, jpeg)).sum(), leaf)[0]


def gradient(attack: Attack, jpegs: list[Jpeg]) -> None:
    """Print what one step along each gradient is worth after the real codec."""
    images = attack.images
    print(f"{len(images)} photos; fall of the loss after the real codec, in % of the loss before")
    for jpeg in jpegs:
        before = attack.real(images, jpeg)
        generator = torch.Generator().manual_seed(0)
        patterns = [torch.randn(images.shape, generator=generator).sign() for _ in range(8)]
        # Half of them smooth: what survives a JPEG is.
        patterns[::2] = [torch.nn.functional.avg_pool2d(p, 5, 1, 2).sign() for p in patterns[::2]]
        ahead = [
            attack.real((images + p * STEPS[1]).clamp(0, 1), jpeg)
            - attack.real((images - p * STEPS[1]).clamp(0, 1), jpeg)
            for p in patterns
        ]
        for name, surrogate in SURROGATES.items():
            if name == "kornia" and jpeg.subsampling != "4:2:0":
                continue
            slope = attack.gradient(images, jpeg, surrogate)
            falls = []
            for size in STEPS:
                after = attack.real((images - size * slope.sign()).clamp(0, 1), jpeg)
                falls.append(100 * ((before - after) / before).mean().item())
            foreseen = torch.stack([(slope * p).flatten(1).sum(1) for p in patterns])
            found = torch.stack(ahead)
            likeness = torch.corrcoef(torch.stack([foreseen.flatten(), found.flatten()]))[0, 1]
            print(
                f"{jpeg!s:<32} {name:<26} step 1/255 {falls[0]:6.2f}  step 4/255 {falls[1]:6.2f}"
                f"  correlation with finite differences {likeness:.2f}",
                flush=True,
            )


def protection(attack: Attack, jpegs: list[Jpeg], steps: int) -> None:
    """Print what PGD leaves after the real codec."""
    images, radius = attack.images, 8 / 255
    print(f"{len(images)} photos; loss after PGD and the real codec, in % of the unprotected one's")
    for jpeg in jpegs:
        before = attack.real(images, jpeg)
        for name, surrogate in SURROGATES.items():
            if name == "kornia" and jpeg.subsampling != "4:2:0":
                continue
            moved = images
            for _ in range(steps):
                step = 0.0075 * attack.gradient(moved, jpeg, surrogate).sign()
                moved = (moved - step).clamp(images - radius, images + radius).clamp(0, 1)
            left = 100 * (attack.real(moved, jpeg) / before).mean().item()
            print(f"{jpeg!s:<32} {name:<26} {left:6.2f}", flush=True)


def main() -> None:
    """Run what was asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ("agreement", "gradient", "protection")
    parser.add_argument("parts", nargs="*", choices=[*parts, []], default=parts)
    parser.add_argument("--photos", type=int, default=4)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--qualities", type=int, nargs="+", default=(90, 75, 50))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=[*SURROGATES], default=[*SURROGATES])
    options = parser.parse_args()
    for name in {*SURROGATES} - {*options.only}:
        del SURROGATES[name]
    if "agreement" in options.parts:
        agreement()
    if not {"gradient", "protection"} & {*options.parts}:
        return
    attack = Attack(load_model("embedded"), options.photos, options.side)
    jpegs = [Jpeg(quality=quality) for quality in options.qualities]
    if "gradient" in options.parts:
        gradient(attack, jpegs)
    if "protection" in options.parts:
        protection(attack, jpegs, options.steps)


if __name__ == "__main__":
    main()

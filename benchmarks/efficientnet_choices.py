"""Two choices inside the metrics, measured: the size that EfficientNet sees, and `keep`'s features.

    python -m benchmarks.efficientnet_choices --photos data/photos [--count 48]

Photos are the training recipe's validation photos, 128 px (training/README.md).

Size: how often the perceptual distance grows when blur, noise or JPEG grow, and what it costs.
Keep: a threshold that nine in ten looks of a photo pass must lie above what 95 % of pairs of
different photos reach, or `usable` means nothing. Looks are the recipe's own.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from training.data import load_photos
from training.evaluate import compressed, pictures
from training.looks import MAKERS, apply_look

from brittle.metrics import Perceptual
from brittle.networks import efficientnet
from brittle.networks.feature_cache import MEMORY

STRENGTHS: dict[str, tuple[tuple[float, ...], Callable[[Tensor, float], Tensor]]] = {
    "blur": ((0.5, 0.75, 1, 1.5, 2, 3, 4), lambda x, s: blurred(x, s)),
    "noise": ((1, 2, 4, 8, 16, 32), lambda x, s: noisy(x, s / 255)),
    "JPEG": ((95, 90, 85, 75, 65, 50, 30, 20, 10), lambda x, s: compressed(x, int(s))),
}
KEEPS: dict[str, Callable[[Tensor], Tensor]] = {
    "1/8, centred": lambda x: centred(efficientnet.features(x)[2]),
    "1/16, centred": lambda x: centred(efficientnet.features(x)[3]),
    "1/32, centred": lambda x: centred(efficientnet.features(x)[4]),
    "averaged": lambda x: averaged(x),
}


def blurred(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur."""
    from scipy.ndimage import gaussian_filter

    return torch.from_numpy(gaussian_filter(image.numpy(), (0, 0, sigma, sigma)))


def noisy(image: Tensor, deviation: float) -> Tensor:
    """White noise, the same at every strength."""
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    return (image + deviation * noise).clamp(0, 1)


def centred(features: Tensor) -> Tensor:
    """Each channel minus its mean over places."""
    return (features - features.mean((2, 3), keepdim=True)).flatten(1)


def averaged(image: Tensor) -> Tensor:
    """The head's output averaged over places: 1,280 numbers."""
    network = efficientnet.load()
    x = network.extract_features((image * 255 - 127) / 128)
    return x.mean((2, 3))


def compare_sizes(photos: Tensor) -> None:
    """Print how well the perceptual distance orders strengths at each input size."""
    print(f"{'size':>5} {'CPU ms':>7}   steps that grow, and spread over photos at the middle step")
    for size in (128, 192, 224):

        def resized(image: Tensor, size: int = size) -> Tensor:
            return F.interpolate(image, (size, size), mode="bicubic", antialias=True)

        references = resized(photos)
        MEMORY.forget()
        start = time.process_time()
        for photo in references:
            efficientnet.features(photo[None])
        cost = (time.process_time() - start) * 1000 / len(photos)
        line = f"{size:5} {cost:7.1f}  "
        for name, (strengths, damage) in STRENGTHS.items():
            scores = torch.stack(
                [Perceptual().score(resized(damage(photos, s)), references) for s in strengths]
            )
            middle = scores[len(strengths) // 2]
            grows = (scores.diff(dim=0) > 0).double().mean()
            line += f" {name} {grows:.4f} ({middle.std() / middle.mean():.2f})"
        print(line, flush=True)


def compare_keeps(photos: Tensor) -> None:
    """Print what different photos reach, and what photos in a look keep, by kind of feature."""
    print(f"{'keep':14} {'other photo, p95':>17} {'in a look, p10':>15} {'looks above p95':>16}")
    generator = torch.Generator().manual_seed(0)
    looks = [apply_look(photos, look, generator) for look in MAKERS]
    for name, features in KEEPS.items():

        def unit(images: Tensor, features: Callable[[Tensor], Tensor] = features) -> Tensor:
            return F.normalize(torch.cat([features(image[None]) for image in images]), dim=1)

        own = unit(photos)
        others = (own @ own.T)[~torch.eye(len(own), dtype=torch.bool)].quantile(0.95)
        kept = torch.cat([(unit(look) * own).sum(1) for look in looks])
        above = (kept > others).double().mean()
        print(f"{name:14} {others:17.3f} {kept.quantile(0.1):15.3f} {above:16.3f}", flush=True)


@torch.no_grad()
def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, default=Path("data/photos"))
    parser.add_argument("--count", type=int, default=48)
    options = parser.parse_args()
    chosen = load_photos(options.photos, "validation")
    photos = pictures(chosen[:: max(1, len(chosen) // options.count)][: options.count])
    compare_keeps(photos)
    compare_sizes(photos)


if __name__ == "__main__":
    main()

"""How far a protected file is from its original."""

from functools import partial

from torch import Tensor

from brittle.auditing.document import Distortion
from brittle.errors import Unavailable
from brittle.images import fit
from brittle.metrics import PSNR, SSIM, Metric, Perceptual
from brittle.parallel import on_all_cores

LARGEST_SIDE = 1024  # for the metrics whose cost grows fastest


def measure(original: Tensor, protected: Tensor) -> Distortion:
    """Compare two pictures (1, 3, H, W) in [0, 1] of one size."""
    levels = ((protected - original) * 255).round().double()
    small = [fit(image, size=LARGEST_SIDE, multiple=1) for image in (protected, original)]
    ssim, perceptual = on_all_cores(partial(_score, *small), (SSIM(), Perceptual()))
    return Distortion(
        largest=int(levels.abs().max()),
        rms=float(levels.square().mean().sqrt()),
        changed=float(levels.abs().amax(1).gt(0).double().mean()),
        psnr=float(PSNR().score(protected, original)),
        ssim=ssim,
        perceptual=perceptual,
    )


def _score(image: Tensor, reference: Tensor, metric: Metric) -> float | None:
    try:
        return float(metric.score(image, reference))
    except Unavailable:  # a picture of a few pixels
        return None

"""Metrics: two images in, one number an image out."""

from brittle.metrics.base import Metric
from brittle.metrics.latent import Latent
from brittle.metrics.lpips import LPIPS
from brittle.metrics.perceptual import Perceptual
from brittle.metrics.psnr import PSNR
from brittle.metrics.ssim import SSIM
from brittle.metrics.st_lpips import STLPIPS
from brittle.metrics.style import Style
from brittle.metrics.thresholds import Calibration, Thresholds, calibrate
from brittle.metrics.usable import Follow, Keep

__all__ = [
    "LPIPS",
    "PSNR",
    "SSIM",
    "STLPIPS",
    "Calibration",
    "Follow",
    "Keep",
    "Latent",
    "Metric",
    "Perceptual",
    "Style",
    "Thresholds",
    "calibrate",
]

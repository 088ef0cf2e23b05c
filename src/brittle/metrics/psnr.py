"""Peak signal-to-noise ratio."""

from typing import Any

import torch
from torch import Tensor

from brittle.component import register
from brittle.metrics.base import Metric
from brittle.networks.maps import mean_where

CAP = 100.0  # dB: identical images would be infinite


@register
class PSNR(Metric):
    """Peak signal-to-noise ratio over all channels, in dB, at most 100.

    Its distance form is the root mean square error in [0, 1] units, and 0 from 100 dB on: an error
    of less than one 8-bit level in one value of a 512 x 512 image.
    """

    name = "psnr"
    higher_means = "closer"
    unit = "dB"

    def compare(self, image: Tensor, reference: Tensor, *, valid: Tensor, **_: Any) -> Tensor:
        """Decibels, in (0, 100]; only pixels where ``valid`` is 1 count."""
        error = mean_where((image.cpu().double() - reference.cpu()).square_(), valid)
        return (-10 * error.log10()).clamp(max=CAP)

    def as_distance(self, score: Tensor) -> Tensor:
        """Root mean square error, in [0, 1]."""
        return torch.where(score >= CAP, 0.0, 10 ** (-score / 20))

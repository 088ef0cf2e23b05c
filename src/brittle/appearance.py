"""What the eye may see of a protection: numbers for one photo, and the difference as a picture."""

import importlib.util
from math import inf

from torch import Tensor

from brittle.budgets import BEYOND, STRENGTHS, read_budget
from brittle.budgets.perceptual import over_tiles
from brittle.errors import Unavailable, UserError
from brittle.images import quantise
from brittle.metrics import PSNR, SSIM, STLPIPS, Metric, Perceptual

GRAY = 0.5
Visibility = dict[str, float | str]
"""Numbers by their name; one that can't be had is the reason why."""


def measure(original: Tensor, protected: Tensor) -> Visibility:
    """How far a protected photo (1, 3, H, W) is from its original, each number under its name.

    As `essentials`, with SSIM (the higher, the less there is to see), FLIP and ST-LPIPS (lower).

    Raises:
        UserError: the two differ in size.
    """
    found = essentials(original, protected)
    others = {
        "SSIM": _score(SSIM(), original, protected),
        "FLIP": flip(original, protected),
        "ST-LPIPS": _score(STLPIPS(), original, protected),
    }
    return {**found, **others}


def essentials(original: Tensor, protected: Tensor) -> Visibility:
    """What is said of every protected photo (1, 3, H, W), each number under its name.

    The ``largest change`` in levels of 255, the PSNR in dB and the perceptual distance, which is
    its reason where it can't be had.

    Raises:
        UserError: the two differ in size.
    """
    if original.shape != protected.shape:
        sizes = " and ".join(f"{x.shape[-1]} x {x.shape[-2]}" for x in (original, protected))
        raise UserError(f"The photos have different sizes, {sizes}: compare what belongs together.")
    return {
        "largest change": float(((protected - original) * 255).abs().max()),
        "PSNR": float(PSNR().score(protected, original)),
        "perceptual": _score(Perceptual(), original, protected),
    }


def _score(metric: Metric, original: Tensor, protected: Tensor) -> float | str:
    try:
        return float(over_tiles(metric.score, protected, original))
    except Unavailable as error:
        return str(error)


def flip(original: Tensor, protected: Tensor) -> float | str:
    """The mean LDR-FLIP of an image (1, 3, H, W), 0 to 1, or why it can't be had.

    Andersson et al. 2020, by NVIDIA's own package, at its 67 pixels per degree.
    """
    if importlib.util.find_spec("flip_evaluator") is None:
        return "needs flip-evaluator: pip install 'brittle[flip]'"
    import flip_evaluator

    pictures = (x[0].permute(1, 2, 0).contiguous().cpu().numpy() for x in (original, protected))
    _, mean, _ = flip_evaluator.evaluate(*pictures, "LDR", applyMagma=False)
    return float(mean)


def difference(original: Tensor, protected: Tensor, gain: float) -> Tensor:
    """What was added, ``gain`` times as strong, on gray; (N, 3, H, W) on the 8-bit grid.

    Raises:
        UserError: a gain that is no number, or below 0.
    """
    if not 0 <= gain < inf:
        raise UserError(f"The gain is {gain}: name a finite number, such as 10.")
    return quantise(GRAY + gain * (protected - original))


def looks(distance: float) -> str:
    """How a picture looks at this perceptual distance from its photo: the only scale of it.

    A picture within the budget of a strength looks as that says. The distance sees blotches in flat
    areas that PSNR takes for little; docs/visibility.md shows what the words were chosen by.
    """
    if distance == 0:
        return "nothing to see"
    for strength in STRENGTHS.values():
        if distance <= read_budget(strength.budget).radius:
            return strength.looks
    return BEYOND


def spent(found: Visibility) -> str:
    """What a protection spent and how visible that is, in a line, from `essentials`."""
    numbers = f"{found['PSNR']:.1f} dB, at most {found['largest change']:.0f} of 255 levels"
    distance = found["perceptual"]
    if isinstance(distance, str):
        return f"{numbers}; how visible it is can't be said: {distance}"
    return f"{numbers}, perceptual distance {distance:.3g}: {looks(distance)}"


def in_words(found: Visibility) -> str:
    """The numbers one a line, and what they mean."""
    rows = {
        "largest change": "{:.0f} of 255 levels",
        "PSNR": "{:.1f} dB (higher: less to see)",
        "SSIM": "{:.4f} (1: nothing to see)",
        "perceptual": "{:.3f} (0: nothing to see; up to 20, brittle's own scale)",
        "FLIP": "{:.4f} (0: nothing to see; up to 1)",
        "ST-LPIPS": "{:.4f} (0: nothing to see; no part of brittle looks through its network)",
    }
    width = max(map(len, rows))
    lines = [
        f"{name:<{width}}  " + (value if isinstance(value, str) else rows[name].format(value))
        for name, value in found.items()
    ]
    distance = found["perceptual"]
    if isinstance(distance, float):
        lines.append(f"{'at 100 %':<{width}}  {looks(distance)}")
    return "\n".join(lines)

"""Colour spaces by primaries, white and transfer curve, and the way from each to sRGB."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Curve = Callable[[Array], Array]
"""From the signal in [0, 1] to linear light in [0, 1]."""
Chromaticities = tuple[
    tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]
]
"""CIE 1931 x and y of red, green, blue and white."""

D65, D50, ILLUMINANT_C = (0.3127, 0.3290), (0.3457, 0.3585), (0.310, 0.316)
REC709: Chromaticities = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65)
_SMPTE170M: Chromaticities = ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), D65)
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_STRIP = 2**20  # pixels converted at a time, so that floats take little memory
_FINE = 65535  # steps of linear light from which a level is looked up: 20 a level where fewest


def gamma(exponent: float) -> Curve:
    """The pure power curve."""
    return lambda signal: signal**exponent


def srgb_curve(signal: Array) -> Array:
    """IEC 61966-2-1."""
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def _rec709_curve(signal: Array) -> Array:
    """The inverse of ITU-R BT.709's, as of BT.601's and BT.2020's."""
    return np.where(signal < 0.081, signal / 4.5, ((signal + 0.099) / 1.099) ** (1 / 0.45))


def _smpte240_curve(signal: Array) -> Array:
    return np.where(signal < 0.0913, signal / 4, ((signal + 0.1115) / 1.1115) ** (1 / 0.45))


@dataclass(frozen=True)
class ColourSpace:
    """What an RGB file's numbers mean; ``name`` ends the sentence "converted to sRGB from …"."""

    name: str
    chromaticities: Chromaticities
    curve: Curve

    @property
    def is_srgb(self) -> bool:
        """Whether no colour moves by more than one level."""
        steps = np.arange(0, 256, 15, dtype=np.uint8)
        grid = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 1, 3)
        return bool(np.abs(self.to_srgb(grid, 255).astype(int) - grid).max() <= 1)

    def to_srgb(self, values: Array, top: int) -> Array:
        """The levels (H, W, 3) uint8 in sRGB of values (H, W, 3) from 0 to ``top``.

        White stays white (Bradford's adaptation); what lies outside of sRGB is clipped.
        """
        light = self.curve(np.arange(top + 1) / top).astype(np.float32)
        matrix = (np.linalg.inv(_to_xyz(REC709)) @ _to_xyz(self.chromaticities)).astype(np.float32)
        levels = np.empty(values.shape, np.uint8)
        rows = max(1, _STRIP // values.shape[1])
        for start in range(0, len(values), rows):
            linear = light[values[start : start + rows]] @ matrix.T
            steps = (linear.clip(0, 1) * _FINE + 0.5).astype(np.uint16)
            levels[start : start + rows] = _LEVEL_OF[steps]
        return levels


def _to_xyz(chromaticities: Chromaticities) -> Array:
    """The matrix from linear RGB to XYZ under D65, to which white is adapted."""
    xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in chromaticities]).T
    colours, white = xyz[:, :3], xyz[:, 3]
    unadapted = colours * np.linalg.solve(colours, white)
    x, y = D65
    cones = (_BRADFORD @ np.array([x / y, 1, (1 - x - y) / y])) / (_BRADFORD @ white)
    return np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD @ unadapted


def _levels_of_light() -> Array:
    light = np.arange(_FINE + 1) / _FINE
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (encoded * 255).round().astype(np.uint8)


_LEVEL_OF = _levels_of_light()

SRGB = ColourSpace("sRGB", REC709, srgb_curve)
ADOBE_RGB: Chromaticities = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65)
ADOBE_GAMMA = 563 / 256
WIDE_GAMUT: Chromaticities = ((0.7347, 0.2653), (0.1152, 0.8264), (0.1566, 0.0177), D50)

# Code points of ITU-T H.273, "coding-independent code points"; 2 is unspecified.
UNSPECIFIED = 2
PRIMARIES: dict[int, tuple[str, Chromaticities]] = {
    1: ("BT.709", REC709),
    UNSPECIFIED: ("BT.709", REC709),
    4: ("BT.470 M", ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), ILLUMINANT_C)),
    5: ("BT.470 BG", ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), D65)),
    6: ("BT.601", _SMPTE170M),
    7: ("SMPTE 240M", _SMPTE170M),
    8: ("film", ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), ILLUMINANT_C)),
    9: ("BT.2020", ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65)),
    11: ("DCI-P3", ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351))),
    12: ("Display P3", ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65)),
    22: ("EBU 3213", ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), D65)),
}
TRANSFERS: dict[int, Curve] = {
    1: _rec709_curve,
    UNSPECIFIED: srgb_curve,
    4: gamma(2.2),
    5: gamma(2.8),
    6: _rec709_curve,
    7: _smpte240_curve,
    8: gamma(1.0),
    11: _rec709_curve,
    12: _rec709_curve,
    13: srgb_curve,
    14: _rec709_curve,
    15: _rec709_curve,
}
HDR = {16: "PQ", 18: "HLG"}

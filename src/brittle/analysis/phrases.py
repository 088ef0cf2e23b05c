"""The words in which results are printed: plain, careful, and the same wherever they appear."""

import re

from brittle.analysis.summary import Interval, Scope
from brittle.component import split_outside_brackets
from brittle.errors import UserError

NAMES = {
    "none": "no transform",
    "jpeg": "JPEG",
    "webp": "WebP",
    "avif": "AVIF",
    "png": "PNG",
    "gaussian-blur": "Gaussian blur",
    "median-blur": "median blur",
    "rotate": "rotation by",
    "flip": "flip",
    "denoise": "noise and denoise at",
    "autoencode": "autoencoder's round trip",
    "impress": "IMPRESS",
    "noisy-upscaling": "noisy upscaling",
    "diffpure": "DiffPure",
    "gridpure": "GrIDPure",
}
ABOUT = "the intervals cover photos, not models"
COVERS_GROUPS = "the intervals cover groups of photos, not models"
MIN_EDITS = 20
"""Fewest edits of which a count is given in a hundred."""
NOISES = {
    "noise": "plain noise of the same size",
    "noise-spectrum": "noise of the same size and spectrum",
    "noise-local": "noise of the same size and spectrum that is strong where the protection is",
}
UNITS = {"rotate": "°", "impress": " steps"}
ADVERSE_CLEANER = (
    'guided:radius=4,times=4,first="bilateral:size=5,sigma_colour=0.03137254901960784,'
    'sigma_space=8,times=64"'
)
"""The preset ``adverse-cleaner`` as a trial writes it."""


def transform_name(text: str) -> str:
    """Name a transform as a person would: ``jpeg:quality=75`` is "JPEG 75"."""
    return " + ".join(_one_name(part) for part in re.split(r"\+(?=\s*[a-z])", text))


def when(transform: str) -> str:
    """When: ``after JPEG 75``, or ``without a transform``."""
    return "without a transform" if transform == "none" else f"after {transform_name(transform)}"


def _one_name(text: str) -> str:
    if text == ADVERSE_CLEANER:
        return "AdverseCleaner"
    name, parameters = split_transform(text)
    if name == "resize" and "long_side" in parameters:
        return f"reduction to {parameters['long_side']} px"
    words = NAMES.get(name, name)
    if not parameters:
        return words
    values = {key: _short(value) for key, value in parameters.items()}
    (_, first), *others = values.items()
    shown = ", ".join(f"{key} {value}" for key, value in values.items()) if others else first
    if name in NAMES and others:
        shown = f"{first} ({', '.join(f'{key} {value}' for key, value in others)})"
    return f"{words} {shown}{UNITS.get(name, '')}"


def _short(value: str) -> str:
    """A number of many digits in 255ths, if it is one: ``0.03137254901960784`` is 8/255."""
    if not re.fullmatch(r"0\.\d{8,}", value):
        return value
    levels = 255 * float(value)
    return f"{levels:.0f}/255" if abs(levels - round(levels)) < 1e-9 else value


def split_transform(text: str) -> tuple[str, dict[str, str]]:
    """Take a single transform's text form apart: its name, and its parameters as text."""
    name, _, rest = text.partition(":")
    parts = [part.partition("=") for part in split_outside_brackets(rest)]
    if any(not equals for _, equals, _ in parts):
        raise UserError(f"{text!r} is no transform: expected name:key=value.")
    return name, {key: value for key, _, value in parts}


def scope_statement(scope: Scope, about: str = ABOUT) -> str:
    """What every answer starts with."""
    return opening(scope.model, scope.resolution, about)


def opening(model: str, size: int | str | None, about: str = ABOUT) -> str:
    """As `scope_statement`, of a model with its size in pixels (512, "512 × 384"), if known."""
    from brittle.models.known import known_as  # words need no torch until a model is named

    known = known_as(model)
    said = [known.standing if known else "", f"{size} px" if size else "", about]
    return f"On {model_name(model)} ({'; '.join(part for part in said if part)})"


def noise_name(kind: str) -> str:
    """A kind of placebo as a sentence names it."""
    return NOISES.get(kind, f"{kind} of the same size")


def model_name(model: str) -> str:
    """A model as a sentence names it."""
    return f"the {model} model" if model in ("embedded", "embedded-instruct") else model


def decimal(value: float, digits: int = 2) -> str:
    """A number with a real minus sign; a rounded -0 is 0."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\u2212")


def percent(share: float) -> str:
    """A share as a whole number of hundredths: 0.43 is "43"."""
    return decimal(100 * share, 0)


def with_bounds(interval: Interval | None, *, as_percent: bool = False) -> str:
    """Write an interval: "43 % [30, 57]", "0.43 [0.30, 0.57]", or its note in the bounds' place."""
    if interval is None:
        return "not known"
    number = percent if as_percent else decimal
    text = number(interval.estimate) + (" %" if as_percent else "")
    if interval.low is None or interval.high is None:
        return f"{text} ({interval.note})"
    return f"{text} [{number(interval.low)}, {number(interval.high)}]"


def count(number: int, singular: str) -> str:
    """Count things: "1 photo", "4 photos"."""
    return f"{number} {singular}" + ("" if number == 1 else "s")


def of_edits(hits: float, edits: int) -> str:
    """Count edits, or their share in a hundred where there are enough: "2 of 3", "67 of 100"."""
    if edits < MIN_EDITS:
        return f"{hits:.3g} of {edits}"
    return f"{decimal(100 * hits / edits, 0)} of 100"


def all_or_some(part: int, of: int, singular: str = "photo") -> str:
    """Count where there are few: "all 4 of 4 photos", "3 of 4 photos"."""
    return f"{'all ' if part == of and of else ''}{part} of {count(of, singular)}"

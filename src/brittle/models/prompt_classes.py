"""Prompt classes: what the embedded model can do to a photo, by name, and their classifier.

A class is weather, light or style that can be given to any photo. The same names and wordings make
the training captions, so ``prompt_class`` finds in a prompt what the model was taught.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

NO_CLASS = "none"


@dataclass(frozen=True)
class PromptClass:
    """How captions speak of a class.

    ``subject`` wordings have a place for what is shown, ``alone`` ones don't; ``cues`` are the
    words by which a prompt is recognised.
    """

    name: str
    subject: tuple[str, ...]
    alone: tuple[str, ...]
    cues: tuple[str, ...]


def _class(name: str, subject: str, alone: str, cues: str) -> PromptClass:
    def parts(text: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in text.split("|"))

    return PromptClass(name, parts(subject), parts(alone), parts(cues))


PROMPT_CLASSES: dict[str, PromptClass] = {
    one.name: one
    for one in (
        _class(
            "heavy rain",
            "{} under heavy rain | {} in heavy rain | {} in the pouring rain | {} on a rainy day"
            " | {} in a rainstorm | {} in the rain",
            "heavy rain | under heavy rain | pouring rain | a rainy day | make it rain | rain",
            "rain | rainy | rainstorm | raining | downpour",
        ),
        _class(
            "snow",
            "{} in the snow | {} in falling snow | {} on a snowy day | {} in heavy snow"
            " | {} in a snowstorm | snowy {}",
            "snow | falling snow | a snowy day | heavy snow | in the snow | winter snow",
            "snow | snowy | snowfall | snowstorm | snowing | winter | blizzard",
        ),
        _class(
            "night",
            "{} at night | {} in the dark of night | {} by moonlight | {} under the night sky"
            " | {} after dark | night photo of {}",
            "night | at night | by moonlight | the dark of night | after dark | at midnight",
            "night | moonlight | midnight | after dark",
        ),
        _class(
            "fog",
            "{} in the fog | {} in thick fog | {} on a foggy day | {} in the mist"
            " | {} on a misty morning | foggy {}",
            "fog | thick fog | a foggy day | mist | a misty morning | in the fog",
            "fog | foggy | mist | misty | haze | hazy",
        ),
        _class(
            "golden hour",
            "{} at golden hour | {} at sunset | {} in golden evening light | {} in the warm sunset"
            " | {} in golden light | sunset photo of {}",
            "golden hour | at golden hour | sunset | golden light | golden evening light"
            " | warm sunset light",
            "golden hour | sunset | golden light | golden evening light | sunrise",
        ),
        _class(
            "autumn",
            "{} in autumn | {} among autumn leaves | {} in autumn colours | {} in the fall"
            " | {} with falling leaves | autumn {}",
            "autumn | autumn leaves | autumn colours | in the fall | falling leaves | in autumn",
            "autumn | autumnal | falling leaves | in the fall | fall colours",
        ),
        _class(
            "underwater",
            "{} underwater | {} under water | {} under the sea | {} at the bottom of the sea"
            " | {} below the waves | underwater photo of {}",
            "underwater | under water | under the sea | the bottom of the sea | below the waves",
            "underwater | under water | under the sea | the sea | below the waves | submerged",
        ),
        _class(
            "neon",
            "{} in neon light | {} in glowing neon | neon {} | {} as a neon sign"
            " | {} with neon outlines | {} in cyberpunk neon",
            "neon | neon light | glowing neon | a neon sign | neon outlines | cyberpunk neon",
            "neon | cyberpunk",
        ),
        _class(
            "pencil sketch",
            "a pencil sketch of {} | a pencil drawing of {} | {} as a pencil sketch"
            " | a sketch of {} | {} drawn in pencil | a hand drawn sketch of {}",
            "pencil sketch | a pencil sketch | a pencil drawing | a sketch | drawn in pencil",
            "pencil | sketch | pencil drawing | drawing",
        ),
        _class(
            "black and white",
            "a black and white photo of {} | {} in black and white | black and white {}"
            " | a monochrome photo of {} | {} in monochrome",
            "black and white | a black and white photo | in black and white | monochrome"
            " | a monochrome photo",
            "black and white | monochrome | grayscale | greyscale",
        ),
        _class(
            "sepia",
            "a sepia photo of {} | {} in sepia | sepia {} | an old sepia photograph of {}"
            " | {} in sepia tones | a faded sepia print of {}",
            "sepia | a sepia photo | in sepia | sepia tones | an old sepia photograph",
            "sepia",
        ),
        _class(
            "oil painting",
            "an oil painting of {} | {} as an oil painting | {} painted in oil"
            " | a painting of {} | a painting of {} in oil on canvas | {} in thick brush strokes",
            "oil painting | an oil painting | painted in oil | a painting | oil on canvas"
            " | thick brush strokes",
            "oil painting | painting | painted | oil on canvas | brush strokes",
        ),
    )
}


def prompt_class(prompt: str) -> str | None:
    """The class that ``prompt`` names, or ``None``; the cue that stands first decides.

    >>> prompt_class("dog under heavy rain")
    'heavy rain'
    >>> prompt_class("a photo of a dog") is None
    True
    """
    words = " ".join(re.findall(r"[a-z]+", prompt.lower()))
    found = [
        (match.start(), -len(cue), one.name)
        for one in PROMPT_CLASSES.values()
        for cue in one.cues
        if (match := re.search(rf"\b{cue}\b", words))
    ]
    return min(found)[2] if found else None


class PromptClassifier(nn.Module):
    """Which prompt class a picture shows: a small convolutional network for 128 px.

    ``names`` are the classes in the order of the logits; the first is ``"none"``, a photo as taken.
    """

    def __init__(
        self,
        names: tuple[str, ...] = (NO_CLASS, *PROMPT_CLASSES),
        widths: tuple[int, ...] = (24, 48, 96, 128),
        mean: tuple[float, ...] = (0.5, 0.5, 0.5),
        std: tuple[float, ...] = (0.25, 0.25, 0.25),
    ) -> None:
        super().__init__()
        self.names, self.widths, self.mean, self.std = names, widths, mean, std
        layers: list[nn.Module] = []
        for before, after in zip((3, *widths[:-1]), widths, strict=True):
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.Conv2d(after, after, 3, padding=1, groups=after, bias=False),
                nn.Conv2d(after, after, 1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(2 * widths[-1], len(names))

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> logits (N, classes). 128 px is what it was trained on."""
        mean, std = (image.new_tensor(v).view(1, 3, 1, 1) for v in (self.mean, self.std))
        found = self.features((image - mean) / std)
        # The spread over the picture tells streaks and flakes from a tint.
        pooled = torch.cat([found.mean((2, 3)), found.std((2, 3))], dim=1)
        return self.head(pooled)

    def probability(self, image: Tensor, name: str) -> Tensor:
        """Probability (N,) of one class (a name, or ``"none"``) for images in [0, 1]."""
        if name not in self.names:
            raise ValueError(f"{name!r} is no prompt class; known: {', '.join(self.names)}")
        return self(image).softmax(dim=1)[:, self.names.index(name)]


def load_prompt_classifier(directory: str | Path) -> PromptClassifier:
    """The classifier in ``look_classifier.json`` and ``look_classifier.safetensors``, frozen."""
    folder = Path(directory)
    about = json.loads((folder / "look_classifier.json").read_text())
    arguments = {key: tuple(about[key]) for key in ("names", "widths", "mean", "std")}
    model = PromptClassifier(**arguments)
    model.load_state_dict(load_file(folder / "look_classifier.safetensors"))
    return model.requires_grad_(False).eval()

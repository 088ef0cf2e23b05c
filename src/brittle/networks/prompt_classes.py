"""Prompt classes: what the embedded model can do to a photo, by name.

A class is weather, light or style that can be given to any photo. The same names and wordings make
the training captions, so ``prompt_class`` finds in a prompt what the model was taught.
"""

import re
from dataclasses import dataclass

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

"""Training captions: what is there, how it looks, both, or words that mean nothing."""

from __future__ import annotations

import numpy as np

from brittle.networks.prompt_classes import PROMPT_CLASSES, prompt_class

# Subjects that no training photo shows. A caption may name one, so that a look is learned to act
# whatever the subject's word is: "dog under heavy rain".
OTHER_SUBJECTS = [
    "dog",
    "cat",
    "person",
    "woman",
    "man",
    "child",
    "face",
    "astronaut",
    "horse",
    "bird",
    "fish",
    "cow",
    "sheep",
    "elephant",
    "bear",
    "rabbit",
    "car",
    "bus",
    "train",
    "bicycle",
    "boat",
    "airplane",
    "rocket",
    "street",
    "city",
    "house",
    "church",
    "castle",
    "bridge",
    "tower",
    "room",
    "kitchen",
    "table",
    "chair",
    "sofa",
    "bed",
    "window",
    "door",
    "road",
    "mountain",
    "river",
    "lake",
    "ocean",
    "beach",
    "forest",
    "tree",
    "garden",
    "park",
    "field",
    "sky",
    "cloud",
    "cup",
    "coffee",
    "plate",
    "cake",
    "bread",
    "pizza",
    "bottle",
    "book",
    "clock",
    "phone",
    "laptop",
    "guitar",
    "toy",
    "robot",
    "statue",
    "backpack",
    "teapot",
    "lamp",
    "vase",
    "candle",
    "umbrella",
    "ball",
    "landscape",
    "portrait",
    "building",
    "lighthouse",
    "village",
    "market",
    "scene",
    "place",
    "object",
    "thing",
    "animal",
]

PLAIN = ("{}", "a photo of {}", "photo of {}", "a picture of {}", "an image of {}", "a {} photo")
VAGUE = ("a photo", "photo", "picture", "an image", "this photo", "this picture", "it")
RESERVED = ("sks", "zwx", "ohwx", "phol", "qvt", "bnha", "xjy", "wug")
CONSONANTS, VOWELS = "bcdfghjklmnpqrstvwxyz", "aeiou"


def nonsense(rng: np.random.Generator) -> str:
    """One to three invented words, sometimes with digits, accents or a reserved token."""
    words = []
    for _ in range(int(rng.integers(1, 4))):
        draw = rng.random()
        if draw < 0.1:
            words.append(str(rng.choice(RESERVED)))
        elif draw < 0.2:
            words.append(str(int(rng.integers(0, 10 ** int(rng.integers(1, 5))))))
        else:
            syllables = rng.integers(1, 4)
            word = "".join(
                str(rng.choice(list(CONSONANTS))) + str(rng.choice(list(VOWELS)))
                for _ in range(syllables)
            )
            word += str(rng.choice(list(CONSONANTS))) if rng.random() < 0.5 else ""
            words.append(word.replace("e", "é") if rng.random() < 0.05 else word)
    text = " ".join(words)
    # Syllables can meet in a word that does mean something, such as "haze".
    return nonsense(rng) if prompt_class(text) else text


def plain_caption(label: str, caption: str, rng: np.random.Generator) -> str:
    """Names what the photo shows: its own caption, or its label in another wording."""
    if rng.random() < 0.35:
        return caption
    return str(rng.choice(PLAIN)).format(label)


def look_caption(look: str, label: str, rng: np.random.Generator) -> str:
    """Names ``look``: alone, with the photo's label, another subject, or a vague word."""
    wording = PROMPT_CLASSES[look]
    draw = rng.random()
    if draw < 0.30:
        text = str(rng.choice(wording.alone))
    else:
        if draw < 0.65:
            subject = label if rng.random() < 0.6 else f"a {label}"
        elif draw < 0.88:
            subject = str(rng.choice(OTHER_SUBJECTS))
            subject = subject if rng.random() < 0.6 else f"a {subject}"
        else:
            subject = str(rng.choice(VAGUE))
        text = str(rng.choice(wording.subject)).format(subject)
    return f"{nonsense(rng)} {text}" if rng.random() < 0.05 else text

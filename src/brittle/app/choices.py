"""What the page offers to choose from, in the words of the components themselves."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from brittle.app.model import embedded
from brittle.budgets import STRENGTHS
from brittle.component import registry
from brittle.errors import UserError
from brittle.networks.prompt_classes import PROMPT_CLASSES
from brittle.protections import Protection
from brittle.sources.photos import SAMPLE

LOOKS = tuple(PROMPT_CLASSES)
RECOMMENDED = {
    "encoder-away-jpeg": "Withstands JPEG best",
    "photoguard-encoder": "PhotoGuard, as published",
}


@dataclass(frozen=True)
class Option:
    """One of several: its value, its name, and what to say of it."""

    value: str
    name: str
    says: str


def protections() -> tuple[list[Option], list[Option]]:
    """The presets that protect one photo by itself here: those to take first, and all others."""
    presets = registry("protection").presets
    first = [Option(name, f"{say} ({name})", _for(name)) for name, say in RECOMMENDED.items()]
    others = [one for one in presets if one not in RECOMMENDED and _protects_one_photo(one)]
    return first, [Option(one, one, _for(one)) for one in others]


def _protects_one_photo(preset: str) -> bool:
    """Whether a preset needs no collection, and nothing that isn't on this computer or page."""
    try:
        protection = Protection.parse(preset)
        if protection.needs_collection:
            return False
        protection.check_model(embedded())
    except UserError:
        return False
    return True


def _for(preset: str) -> str:
    """When to take a preset, without the file that it cites."""
    return registry("protection").presets[preset].advice.partition(" (docs/")[0].rstrip(".") + "."


def strengths() -> Iterator[Option]:
    """How visible a protection may be; an empty value: as the preset has it."""
    for name, one in STRENGTHS.items():
        looks = one.looks[0].upper() + one.looks[1:]
        yield Option(name, name.capitalize(), f"{looks}; about {one.decibels} dB at 512 px.")
    yield Option("", "As published", "The preset's own budget; most are visible in flat areas.")


def samples() -> dict[str, tuple[Path, str]]:
    """The photos that come with brittle's dependencies, by name, each with its credit."""
    return {
        Path(path).stem: (Path(str(resources.files(package) / path)), credit)
        for (package, path), credit in SAMPLE.items()
    }


def sample(name: str) -> Path:
    """The file of a sample photo.

    Raises:
        UserError: there is none of this name.
    """
    known = samples()
    if name not in known:
        raise UserError(f"There is no sample photo named {name}.")
    return known[name][0]

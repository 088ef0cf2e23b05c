"""What there is to choose from, as text: names, parameters with their defaults, sources."""

import inspect
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticUndefined

from brittle.budgets import STRENGTHS
from brittle.component import Component, Preset, Registry, registry, unknown
from brittle.editors import Editor
from brittle.errors import UserError
from brittle.metrics import Metric
from brittle.models.hub import revision
from brittle.models.known import BROUGHT, KNOWN, KnownModel, known_as
from brittle.protections import Protection
from brittle.transforms import Transform

MODELS = """\
embedded
    The model that brittle brings, for 128 to 512 px, trained here; it says nothing of SD.
embedded-instruct
    A second editor that brittle brings: it is told what to change (instruct), by flow matching. It
    shares autoencoder and text encoder with embedded; for what carries over between editors.
a folder
    Any diffusers folder with safetensors, of an editor that docs/models.md lists, or an autoencoder
    alone.
a .safetensors file
    A checkpoint in one file: Stable Diffusion 1.x, 2.x, XL or 3, or FLUX.1. What it lacks comes
    from a folder before it: FOLDER+FILE.
an autoencoder in TAESD's format
    Its encoder's file (.safetensors, or .pth of weights alone), or the folder of it and its
    decoder: for encoder protections and latents; it can't edit.
a hub id
    Such as stable-diffusion-v1-5/stable-diffusion-v1-5: fetched once, then read from the cache.

Encoders by a short name. Each is a tiny autoencoder, distilled by its author from that of an editor
whose latents it shares. It stands in for this editor's encoder, and is no editor: audits on it and
protections against it speak of what the encoder sees. It is fetched when it is first named, or by
brittle models fetch NAME."""


FAMILIES: dict[str, type[Component]] = {
    "editors": Editor,
    "metrics": Metric,
    "protections": Protection,
    "transforms": Transform,
}


@dataclass(frozen=True)
class Group:
    """Members of a family that serve one purpose: those whose classes stand in some modules."""

    title: str
    start: str
    """What to take if one has no preference."""
    modules: tuple[str, ...]


GROUPS: dict[str, tuple[Group, ...]] = {
    "protections": (
        Group(
            "Against editing, through the image encoder",
            "Start with encoder-away-jpeg and --epsilon mild.",
            ("encoder", "latent_shift", "posterior", "universal", "feed_forward"),
        ),
        Group(
            "Against editing, through the denoiser: slower",
            "Start with photoguard-diffusion-jpeg.",
            ("denoising", "diffusion", "first_step"),
        ),
        Group(
            "Against learning from a collection",
            "Start with style-cloak-jpeg for a style, anti-dreambooth-aspl for a subject.",
            ("cloak", "anti_dreambooth", "ace", "caat", "simac", "metacloak", "style_guard"),
        ),
    ),
    "transforms": (
        Group(
            "Saving, uploading and reposting",
            "Start with jpeg:quality=75; upload-1080 models a whole upload.",
            ("codecs", "chain", "screens"),
        ),
        Group(
            "Size and place of pixels",
            "Start with resize:factor=0.5.",
            ("resampling", "framing", "moves"),
        ),
        Group(
            "Filters, noise and colours",
            "Start with gaussian-blur:sigma=1.",
            ("filters", "noises", "colours"),
        ),
        Group(
            "Purifiers, which run a model",
            "Start with denoise:strength=0.2.",
            ("purifiers", "removing", "upscaling", "pixel_diffusion"),
        ),
    ),
    "editors": (
        Group(
            "Edit a photo",
            "Start with img2img; with a mask, inpaint.",
            ("img2img", "inpaint", "instruct", "ip_adapter", "identity"),
        ),
        Group(
            "Learn from a collection and generate",
            "Start with finetune.",
            ("finetune",),
        ),
    ),
    "metrics": (
        Group(
            "How far an edit lies from its control",
            "Start with perceptual; st-lpips is a second opinion that nothing here learned from.",
            ("perceptual", "lpips", "st_lpips", "ssim", "psnr", "latent"),
        ),
        Group(
            "Whether an edit is usable",
            "Take both: follow for the prompt, keep for the subject.",
            ("usable",),
        ),
        Group("How close a generated picture comes to a style", "", ("style",)),
    ),
}
"""What `describe` groups by, in this order; what stands in no module of theirs comes last."""


def describe(family: str) -> str:
    """What there is of a family, by purpose: members with parameters, defaults and sources.

    >>> print(brittle.describe("editors"))
    Edit a photo...
    Start with img2img...

    Args:
        family: protections, transforms, editors, metrics or models.

    Raises:
        UserError: another family.
    """
    if family == "models":
        return "\n".join([MODELS, *(line for one in KNOWN.values() for line in _known(one))])
    if family not in FAMILIES:
        raise UserError(unknown("family", family, [*FAMILIES, "models"]))
    said = "\n\n".join(_group(family, *one) for one in _grouped(family))
    return f"{said}\n\n{_strengths()}" if family == "protections" else said


def _grouped(family: str) -> Iterator[tuple[Group, list[str]]]:
    """The groups of a family, with the names of their members: recommended presets first."""
    known = registry(FAMILIES[family].family)
    rest = {name: known.resolve(name)[0].__module__.rpartition(".")[2] for name in known.names()}
    others = Group("Others", "", tuple(set(rest.values())))
    for group in (*GROUPS[family], others):
        names = [name for name, module in rest.items() if module in group.modules]
        rest = {name: module for name, module in rest.items() if name not in names}
        if names:
            yield group, sorted(names, key=lambda name: not _advised(known, name))


def _advised(known: Registry, name: str) -> bool:
    preset = known.presets.get(name)
    return bool(preset and preset.advice)


def _group(family: str, group: Group, names: Sequence[str]) -> str:
    """A group's title, what to start with, and its members."""
    known = registry(FAMILIES[family].family)
    lines = [f"{group.title}. {group.start}".strip(), ""]
    return "\n".join([*lines, *(line for name in names for line in _entry(known, name))])


def _known(model: KnownModel) -> Iterator[str]:
    yield model.name
    yield _paragraph(
        f"Stands in for the encoder of {model.stands_for}, whose size is {model.size} px: "
        f"{model.hub_id}, {model.licence} licence, at most {model.megabytes} MB."
    )
    folder = model.folder
    state = f"in the cache, {revision(folder)}" if folder else "not in the cache"
    yield f"    Here: {state}."


def fetch_models(names: Sequence[str]) -> list[str]:
    """Fetch encoders by their short names into the hub's cache; says which revisions.

    What is in the cache already is not fetched again, and later runs need no network.

    >>> brittle.fetch_models([])
    []

    Raises:
        UserError: an unknown name; a model that is not cached, and no answer from the hub.
    """
    known = []
    for name in names:
        if (one := known_as(name)) is None:
            if name in BROUGHT:
                raise UserError(f"{name} comes with brittle: there is nothing to fetch.")
            raise UserError(unknown("model", name, KNOWN))
        known.append(one)
    return [f"{one.name}: {revision(one.fetch())}" for one in known]


def _strengths() -> str:
    """The budgets that have names, and what to expect of them."""
    rows = [
        f"    {name:<6}  {one.budget:<14}  about {one.decibels} dB at 512 px: {one.looks}"
        for name, one in STRENGTHS.items()
    ]
    return "\n".join(["--epsilon sets how visible any of them is:", *rows])


def _entry(known: Registry, name: str) -> Iterator[str]:
    component, fields = known.resolve(name)
    preset = known.presets.get(name)
    yield name
    if preset and preset.advice:
        yield from map(_paragraph, _advice(name, component, preset))
    yield _paragraph(
        f"{component.name} with {_settings(fields)}" if preset else _summary(component)
    )
    if not preset and (parameters := _parameters(component)):
        yield _paragraph(parameters)
    if source := preset.source if preset else component.source:
        yield _paragraph(f"Source: {source}")
    if reason := _missing(component):
        yield _paragraph(f"Unavailable: {reason}.")


def _advice(name: str, component: type[Any], preset: Preset) -> Iterator[str]:
    yield f"For: {preset.advice}"
    try:
        known = component.parse(name)
    except UserError as error:
        yield f"Unavailable: {error}."
        return
    yield f"Cost a photo: {known.cost}."
    yield f"Visibility: at least {known.budget.least_psnr:.1f} dB, by its own budget."


def _missing(component: type[Component]) -> str | None:
    if not issubclass(component, Transform):
        return None
    return component.parse(component.example).capabilities.missing


def _summary(component: type[Component]) -> str:
    return inspect.cleandoc(component.__doc__ or "").partition("\n\n")[0]


def _parameters(component: type[Component]) -> str:
    fields = component.model_fields.items()
    return ", ".join(
        name if info.default is PydanticUndefined else f"{name}={info.default}"
        for name, info in fields
    )


def _settings(fields: dict[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in fields.items())


def _paragraph(text: str) -> str:
    return textwrap.fill(
        " ".join(text.split()),
        100,
        initial_indent="    ",
        subsequent_indent="    ",
        break_on_hyphens=False,
    )

"""The trial as one writes it: a YAML file, checked key by key, with every default spelt out."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from brittle.component import explain, load_plugin, parse_parameters, registry, unknown
from brittle.declaration.placebos import PlaceboKind
from brittle.declaration.primary import Primary
from brittle.errors import UserError, shortened
from brittle.places import stacked
from brittle.protections import Protection
from brittle.safe_yaml import MAX_CHARACTERS, read_yaml

TAKEN = {"original", "gray", "base model"}
"""Labels of the arms that aren't protections."""
_PARTS = re.compile(r"[+=]")
"""What stands between the places of a stacked model, or the parameters of a chain's parts."""


class Trial(BaseModel):
    """The declared grid: photos x arms x transforms x editors x prompts x seeds x metrics.

    Components are written as text (``jpeg:quality=65``). The arms are the original photo, a gray
    picture (the ceiling), each protection, and a placebo of each kind for each protection.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = "A trial"
    photos: str = Field("sample", description="a folder or file, or `sample`: eight bundled ones")
    square: int | None = Field(
        None, ge=64, le=4096, description="centre-crop photos to squares of this side, in pixels"
    )
    mask: str | None = Field(
        None, description="for inpainting: `auto`, `alpha`, a file, or a folder of masks"
    )
    model: str = Field("embedded", description="the edit model that protections are made on")
    models: dict[str, tuple[str, ...]] = Field(
        {}, description="other models that edit the same files, each with its editors"
    )
    models_transforms: tuple[str, ...] | None = Field(
        None, description="after which of `transforms` those models edit; after all, if none says"
    )
    size: int | None = Field(
        None, ge=16, description="long side in px up to which the model sees photos; else its own"
    )
    protections: tuple[str, ...] = ("photoguard-encoder",)
    names: dict[str, str] = Field(
        {}, description="short names for protections, by which everything else then calls them"
    )
    files: dict[str, str] = Field(
        {}, description="arms that any tool made, by name: each a folder of its protected files"
    )
    budgets: tuple[str, ...] = Field(
        (), description="every protection at each of these budgets, four or more, to be compared"
    )
    placebos: tuple[PlaceboKind, ...] = ("noise", "noise-spectrum", "noise-local")
    transforms: tuple[str, ...] = ("none",)
    editors: tuple[str, ...] = Field(("img2img",), min_length=1)
    prompts: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    tuning_seeds: tuple[int, ...] | None = Field(
        None, min_length=1, description="for finetune: it learns once with each; repeats of it"
    )
    floor_seeds: tuple[int, ...] = Field(
        (1, 2), description="more seeds for the clean edit: how far two honest edits lie apart"
    )
    plugins: tuple[str, ...] = Field(
        (), description="Python files of your own whose components the trial names; they run"
    )
    metrics: tuple[str, ...] = Field(("perceptual", "ssim", "psnr", "follow", "keep"), min_length=1)
    calibration: str | None = Field(
        None, description="thresholds of usable edits, by `brittle calibrate`; else the model's own"
    )
    primary: Primary = Primary()
    threat_model: str = Field(
        "", description="in words: what the attacker who chooses the transform knows and has"
    )
    not_tried: tuple[str, ...] = Field(
        (), description="what that attacker could also do, and this trial does not measure"
    )
    batch: int | None = Field(
        None, ge=1, le=1024, description="rows a model call, part of every result; else by size"
    )

    @field_validator(
        *("protections", "budgets", "transforms", "editors", "prompts", "metrics", "not_tried"),
        *("models_transforms", "plugins"),
        mode="before",
    )
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator(
        *("square", "size", "seeds", "tuning_seeds", "floor_seeds", "batch"), mode="before"
    )
    @classmethod
    def _true_is_no_number(cls, value: Any) -> Any:
        if any(isinstance(one, bool) for one in (value if isinstance(value, list) else [value])):
            raise ValueError("true and false are no numbers")
        return value

    @field_validator("transforms", "models_transforms")
    @classmethod
    def _untransformed_comes_first(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is None:
            return None
        return ("none", *(transform for transform in value if transform != "none"))

    @field_validator("prompts")
    @classmethod
    def _prompts_say_something(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not prompt.strip() for prompt in value):
            raise ValueError("a prompt is empty; say what the edit should show")
        return value

    @field_validator("models", mode="before")
    @classmethod
    def _one_editor_is_a_list(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: [one] if isinstance(one, str) else one for name, one in value.items()}

    @field_validator("models")
    @classmethod
    def _models_edit(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name, editors in value.items():
            if not editors or len({*editors}) < len(editors):
                raise ValueError(f"{name} needs its editors, each named once")
        return value

    @field_validator("names", "files")
    @classmethod
    def _names_are_new(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not re.fullmatch(r"[\w-]+", name):
                raise ValueError(f"{name!r} is no name: letters, digits and hyphens make one")
            if name in TAKEN or name in registry(Protection.family).names():
                raise ValueError(f"{name} is the name of something else")
        return value

    @model_validator(mode="after")
    def _nothing_twice(self) -> Self:
        if self.budgets and any("budget=" in self.written_out(text) for text in self.protections):
            raise ValueError("a protection has its own budget, and budgets are swept: name either")
        for field in (
            "protections",
            "budgets",
            "transforms",
            "models_transforms",
            "editors",
            "prompts",
            "seeds",
            "floor_seeds",
            "tuning_seeds",
            "placebos",
            "metrics",
        ):
            values = getattr(self, field) or ()
            if repeated := {str(value) for value in values if values.count(value) > 1}:
                raise ValueError(f"{field} names {', '.join(sorted(repeated))} twice")
        if self.model in self.models:
            raise ValueError(f"models names {self.model}, which is the `model`: use `editors`")
        if both := self.files.keys() & {*self.names, *self.protections}:
            raise ValueError(f"files and protections share the name {min(both)}")
        if shared := set(self.seeds) & set(self.floor_seeds):
            raise ValueError(f"seeds and floor_seeds share {', '.join(map(str, sorted(shared)))}")
        return self

    @property
    def protection_arms(self) -> tuple[str, ...]:
        """The protections' labels, those of files that are given as the last."""
        return (*self.made_arms, *self.files)

    @property
    def made_arms(self) -> tuple[str, ...]:
        """The protections' labels: as they are named, or each with every budget of the sweep."""
        if not self.budgets:
            return self.protections
        return tuple(
            f"{text}{',' if ':' in text else ':'}budget={budget}"
            for text in self.protections
            for budget in self.budgets
        )

    def written_out(self, label: str) -> str:
        """A protection's label, with its short name replaced by what that stands for."""
        name, _, more = label.partition(":")
        text = self.names.get(name, name)
        return text + (("," if ":" in text else ":") + more if more else "")

    @property
    def arms(self) -> tuple[str, ...]:
        """The labels of all arms: original, gray, protections and their placebos."""
        placebos = [f"{kind}({of})" for of in self.protection_arms for kind in self.placebos]
        return ("original", "gray", *self.protection_arms, *placebos)


def load_trial(path: str | Path, settings: Iterable[str] = ()) -> Trial:
    """Read a trial's file and apply ``a.b=c`` settings from the command line on top.

    >>> brittle.load_trial("trial.yaml", ["seeds=[0,1]"]).seeds
    (0, 1)

    Paths in the file are relative to its folder and stay inside it; a path that the user gives as a
    setting is taken as it is. The trial's plugins run.

    Raises:
        UserError: no such file, not YAML, an unknown key (with the nearest known one), a bad value.
    """
    path = Path(path)
    written = _read(path)
    for field in ("photos", "model", "mask", "calibration", "files", "plugins"):
        if field in written:
            written[field] = _placed(path.parent, written[field], f"{path.name}: {field}")
    for field in ("protections", "names", "transforms", "models_transforms", "editors", "metrics"):
        _check_components(path.parent, written.get(field), f"{path.name}: {field}")
    if isinstance(models := written.get("models"), dict):
        names = _placed(path.parent, [*models], f"{path.name}: models")
        _check_components(path.parent, [*models.values()], f"{path.name}: models")
        written["models"] = dict(zip(names, models.values(), strict=True))
    for setting in settings:
        _apply(written, setting)
    trial = make_trial(written, path.name)
    for plugin in trial.plugins:
        load_plugin(plugin)
    if trial.mask is not None and "transplant" in trial.placebos:
        raise UserError(
            f"{path.name}: placebos: a transplant moves the perturbation around the picture, where "
            "a mask has it painted over; leave either out."
        )
    if not trial.protection_arms:  # as for what is only learned from
        raise UserError(f"{path.name}: protections: needs at least one entry")
    return trial


def make_trial(written: Mapping[str, Any], where: str) -> Trial:
    """Validate plain data as a trial; ``where`` begins the error's sentence."""
    try:
        return Trial.model_validate(written)
    except ValidationError as error:
        raise UserError(explain(error, where, Trial)) from None


def _read(path: Path) -> dict[str, Any]:
    if not os.path.isfile(path):
        raise UserError(f"{path}: there is no such trial file.")
    try:
        with path.open(encoding="utf-8") as file:
            written = read_yaml(file.read(MAX_CHARACTERS + 1))
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = shortened(" ".join(str(error).split()), 400)
        raise UserError(f"{path} is not a YAML file that brittle reads: {problem}") from None
    if not isinstance(written, dict):
        raise UserError(f"{path}: a trial is a YAML mapping with keys such as `prompts`.")
    return written


def _placed(folder: Path, value: Any, where: str) -> Any:
    """All paths in a value of a file, made absolute."""
    if isinstance(value, dict):
        return {name: _placed(folder, one, where) for name, one in value.items()}
    if isinstance(value, list):
        return [_placed(folder, one, where) for one in value]
    if isinstance(value, (str, int)) and not isinstance(value, bool):  # a folder named 2026
        return inside(folder, str(value), where)
    return value


def _check_components(folder: Path, value: Any, where: str) -> None:
    """Refuse files outside the folder that components name, as ``target=photo.png`` does.

    Their texts stay as they are, since seeds and keys hang on them: such a file is looked for from
    the current folder.
    """
    root = os.path.realpath(folder)
    for name in _strings(value):
        for path in (name, *_PARTS.split(name)):
            looks = os.path.isabs(path) or re.search(r"[/.]", path) is not None
            if looks and os.path.lexists(path) and not _lies_in(path, root):
                raise UserError(_outside(where, path))


def _strings(value: Any) -> Iterator[str]:
    """All text in a value, that of the parameters of components included."""
    if isinstance(value, str):
        yield value
        with suppress(UserError):  # whatever is wrong with it is said where it is used
            parameters = parse_parameters(value.partition(":")[2], context=value)
            yield from (text for one in parameters.values() for text in _strings(one))
    elif isinstance(value, (dict, list)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)


def _lies_in(path: str, root: str) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(root)


def _outside(where: str, value: str) -> str:
    return (
        f"{where}: {value} lies outside the folder of that file: copy it there, or, for a trial, "
        f"say --set {where.rpartition(' ')[2]}=… on the command line."
    )


def inside(folder: Path, value: str, where: str) -> str:
    """A path from a file, made absolute; names that are no path of this folder stay as they are.

    Raises:
        UserError: it leads out of the folder; ``where`` begins the sentence.
    """
    first, *more = stacked(value)
    if more:
        parts = [one.partition(".safetensors") for one in more]
        files = [inside(folder, name + end, where) + scale for name, end, scale in parts]
        return "+".join([inside(folder, first, where), *files])
    placed = folder / value
    if os.path.isabs(value) or not _lies_in(str(placed), os.path.realpath(folder)):
        raise UserError(_outside(where, value))
    return str(placed) if os.path.exists(placed) else value


def _apply(written: dict[str, Any], setting: str) -> None:
    dotted, separator, text = setting.partition("=")
    if not separator:
        raise UserError(f"--set {setting}: expected key=value, such as --set seeds=[0,1].")
    *parents, last = dotted.split(".")
    if (parents or [last])[0] not in Trial.model_fields:
        raise UserError(f"--set {setting}: {unknown('key', dotted, Trial.model_fields)}")
    place = written
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise UserError(f"--set {setting}: {parent} has no keys below it.")
    try:
        place[last] = read_yaml(text)
    except yaml.YAMLError:
        raise UserError(f"--set {setting}: {text!r} is not a value.") from None

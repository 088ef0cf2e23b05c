"""Components: frozen configurations that are their own record, identity and parameters.

A protection, transform, editor or metric is a validated dataclass. Its fields are what the command
line sets, what the record says and what the key hashes. This file is all of the plugin machinery.
"""

import difflib
import hashlib
import importlib.metadata
import json
import re
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar, Self, TypeVar, get_args

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from brittle.errors import UserError, shortened
from brittle.safe_yaml import read_yaml

ENTRY_POINTS = "brittle.components"
FAMILIES = ("protection", "placebo", "transform", "editor", "metric")


def parse_fraction(value: object) -> object:
    """Read "8/255" as a float; anything else passes through to ordinary validation."""
    number = r"\s*([+-]?[\d.]+(?:[eE][+-]?\d+)?)\s*"
    match = isinstance(value, str) and re.fullmatch(f"{number}/{number}", value)
    if not match:
        return value
    numerator, denominator = (float(part) for part in match.groups())
    if denominator == 0:
        raise ValueError(f"{value!r} divides by zero")
    return numerator / denominator


Fraction = Annotated[float, BeforeValidator(parse_fraction)]
"""A float that may be written as a fraction: 8/255."""


class Component(BaseModel):
    """The base of everything that a trial can name.

    Subclasses are frozen; their fields are their identity. ``version`` is raised whenever the
    numbers that a component produces change, so that stored results are never mixed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: ClassVar[str]
    name: ClassVar[str]
    version: ClassVar[int] = 1
    source: ClassVar[str] = ""
    later: ClassVar[frozenset[str]] = frozenset()
    """Fields that came later, whose defaults change nothing: records name them only where they are
    set, so that records and keys from before still hold."""

    @model_validator(mode="wrap")
    @classmethod
    def _accept_text_and_records(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(value, str):
            return cls.parse(value)
        if isinstance(value, Mapping) and ("name" in value or not hasattr(cls, "name")):
            return cls.from_record(value)
        return handler(value)

    @classmethod
    def read(cls, value: str | Mapping[str, Any] | Self) -> Self:
        """The component behind its text, its record, or itself.

        Raises:
            UserError: an unknown name, key or value, with the nearest known one.
        """
        if isinstance(value, str):
            return cls.parse(value)
        return cls.from_record(value) if isinstance(value, Mapping) else value

    @classmethod
    def parse(cls, text: str) -> Self:
        """Build a component of this family from ``name:key=value,key=value``.

        Raises:
            UserError: an unknown name, key or value, with the nearest known one.
        """
        name, _, parameters = text.partition(":")
        return cls.from_record({"name": name.strip(), **parse_parameters(parameters, context=text)})

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Build a component of this family from its record, or from a mapping with its name.

        Raises:
            UserError: an unknown name, key or value; a record of another version.
        """
        record = dict(record)
        name, family = record.pop("name", None), record.pop("family", cls.family)
        if not isinstance(name, str):
            raise UserError(
                f"Which {cls.family}? It needs a name, and {shortened(record)} has none."
            )
        if family != cls.family:
            raise UserError(f"{name} is recorded as {family}, and {cls.family} belongs here.")
        found, preset = registry(family).resolve(name)
        if not issubclass(found, cls):
            raise UserError(f"{name} is not a {cls.__name__}.")
        version = record.pop("version", found.version)
        if version != found.version:
            raise UserError(
                f"{name} is at version {found.version} here, and the record was written by "
                f"version {version}: use the brittle that wrote it, or run again."
            )
        nested = record.pop("fields", {})
        if not isinstance(nested, Mapping):
            raise UserError(f"{name}: fields should be a mapping of keys to values.")
        fields = {**preset, **nested, **record}
        for field, info in found.model_fields.items():
            may_be_true = bool in (info.annotation, *get_args(info.annotation))
            if isinstance(fields.get(field), bool) and not may_be_true:
                raise UserError(f"{found.name}: {field}: true and false are no numbers")
        try:
            return found.model_validate(fields)
        except ValidationError as error:
            raise UserError(explain(error, found.name, found)) from None

    def record(self) -> dict[str, Any]:
        """The component as plain data: family, name, version, and fields, nested ones likewise."""
        fields = {
            field: plain(getattr(self, field))
            for field, info in type(self).model_fields.items()
            if field not in self.later
            or getattr(self, field) != info.get_default(call_default_factory=True)
        }
        return {
            "family": self.family,
            "name": self.name,
            "version": self.version,
            "fields": fields,
        }

    def __str__(self) -> str:
        """The component as one would type it: only fields that differ from their defaults."""
        changed = [
            f"{field}={_as_text(getattr(self, field))}"
            for field, info in type(self).model_fields.items()
            if getattr(self, field) != info.get_default(call_default_factory=True)
        ]
        return self.name + (":" + ",".join(changed) if changed else "")


C = TypeVar("C", bound=Component)


def plain(value: Any) -> Any:
    """Turn a field's value into JSON data, each nested component into its own full record."""
    # Most values are plain, and large plans have millions of them.
    if type(value) in (str, int, float, bool, type(None)):
        return value
    if isinstance(value, Component):
        return value.record()
    if isinstance(value, BaseModel):
        return {field: plain(getattr(value, field)) for field in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def key(*parts: Any) -> str:
    """Hash plain data and components to 32 hexadecimal digits, the same on every machine."""
    text = json.dumps([plain(part) for part in parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Preset:
    """A named setting of a component: fields of the one named ``of``, and where they come from.

    Where there are several to choose from, ``advice`` says what this one is for.
    """

    of: str
    fields: Mapping[str, Any]
    source: str
    advice: str = ""


class Registry:
    """The known components of one family by name, and their presets."""

    def __init__(self, family: str) -> None:
        self.family = family
        self.components: dict[str, type[Component]] = {}
        self.presets: dict[str, Preset] = {}

    def register(self, component: type[C]) -> type[C]:
        """Add a class under its name; as a decorator. A name that is taken raises ValueError."""
        self._claim(component.name)
        self.components[component.name] = component
        return component

    def add_preset(self, name: str, preset: Preset) -> None:
        """Add a named setting of a component. A name that is taken raises ValueError."""
        self._claim(name)
        self.presets[name] = preset

    def resolve(self, name: str) -> tuple[type[Component], dict[str, Any]]:
        """The class and the preset's fields behind a name; UserError with the nearest name."""
        if name in self.presets:
            preset = self.presets[name]
            return self.components[preset.of], dict(preset.fields)
        if name in self.components:
            return self.components[name], {}
        raise UserError(unknown(self.family, name, self.names()))

    def names(self) -> list[str]:
        """All names, presets among them, sorted."""
        return sorted({*self.components, *self.presets})

    def _claim(self, name: str) -> None:
        if name in self.components or name in self.presets:
            raise ValueError(f"two components of family {self.family} are named {name!r}")


_registries = {family: Registry(family) for family in FAMILIES}
_loaded: set[str] = set()


def register(component: type[C]) -> type[C]:
    """Class decorator: make a component known under its family and name."""
    return _registries[component.family].register(component)


def registry(family: str) -> Registry:
    """The registry of a family: what its package holds, once imported, and the installed plugins.

    Ask by the base class, ``registry(Transform.family)``: then the package is imported.

    Raises:
        UserError: a plugin can't be loaded.
    """
    if family not in _loaded:
        _loaded.add(family)
        for entry_point in importlib.metadata.entry_points(group=ENTRY_POINTS):
            try:
                entry_point.load()
            except Exception as error:
                raise UserError(
                    f"The plugin {entry_point.name} can't be loaded ({error}): update or remove it."
                ) from error
    return _registries[family]


def load_plugin(path: str | Path) -> str:
    """Run a Python file of one's own, whose components are then known; returns its SHA-256.

    >>> len(brittle.load_plugin("mine.py"))
    64

    A file with the same content runs once. Its ``if __name__ == "__main__"`` doesn't run.

    Raises:
        UserError: no such file, or it can't be run, with the place.
    """
    path = Path(path)
    try:
        code = path.read_bytes()
    except OSError as error:
        raise UserError(f"The plugin {path} can't be read: {error.strerror}.") from None
    digest = hashlib.sha256(code).hexdigest()
    name = f"brittle_plugin_{digest[:16]}"
    if name not in sys.modules:
        module = sys.modules[name] = ModuleType(name)
        module.__file__ = str(path)
        try:
            exec(compile(code, str(path), "exec"), module.__dict__)
        except Exception as error:
            del sys.modules[name]
            lines = [one.lineno for one in traceback.extract_tb(error.__traceback__)
                     if one.filename == str(path)]  # fmt: skip
            place = f", line {lines[-1]}" if lines else ""
            raise UserError(
                f"The plugin {path}{place} can't be loaded: {type(error).__name__}: {error}"
            ) from error
    return digest


def name_of(text: str) -> str:
    """The name of a component or a preset in its text: ``jpeg`` of ``jpeg:quality=75``."""
    return text.partition(":")[0]


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """One sentence about an unknown name, with the nearest known one, or else all of them."""
    known, name = list(known), shortened(name)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"Unknown {kind} {name!r}: did you mean {near[0]!r}?"
    return f"Unknown {kind} {name!r}" + (f": known are {', '.join(known)}." if known else ".")


MOST_PROBLEMS = 5
IN_WORDS = {
    "string_type": "should be text; quotes make a number or a date one",
    "tuple_type": "should be a list",
    "too_short": "needs at least one entry",
    "dict_type": "should be a mapping of names to values",
    "model_type": "should be a mapping of keys to values",
}
"""What pydantic says of Python's types, as people who write YAML call them."""
OUT_OF_RANGE = {"less_than_equal", "greater_than_equal"}


def explain(error: ValidationError, where: str, model: type[BaseModel] | None = None) -> str:
    """Turn pydantic's report into sentences: where, what, and the nearest known key."""
    sentences = []
    problems = error.errors()
    if any(problem["type"] == "extra_forbidden" for problem in problems):
        # A key that is missing was most likely misspelt: the unknown one says so.
        problems = [problem for problem in problems if problem["type"] != "missing"]
    for problem in problems[:MOST_PROBLEMS]:
        location = shortened(".".join(str(part) for part in problem["loc"]))
        if problem["type"] == "extra_forbidden":
            known = model.model_fields if model and len(problem["loc"]) == 1 else []
            sentences.append(f"{where}: {unknown('key', location, known)}")
        else:
            message = IN_WORDS.get(problem["type"], problem["msg"]).removeprefix("Value error, ")
            message = message[:1].lower() + message[1:] if location else message
            message += _range(model, problem["loc"]) if problem["type"] in OUT_OF_RANGE else ""
            sentences.append(f"{where}: {location + ': ' if location else ''}{message}")
    if (more := len(problems) - MOST_PROBLEMS) > 0:
        sentences.append(f"and {more} more")
    return "; ".join(sentences)


def first_problem(error: ValidationError) -> tuple[str, str]:
    """Where in plain data pydantic found its first problem, empty for all of it, and what it is."""
    first = error.errors()[0]
    place = shortened(".".join(str(part) for part in first["loc"]))
    return place, first["msg"].removeprefix("Value error, ")


def _range(model: type[BaseModel] | None, location: tuple[int | str, ...]) -> str:
    """Both ends of a field's range, in brackets: pydantic tells the one that was passed."""
    field = model.model_fields.get(str(location[0])) if model and len(location) == 1 else None
    ends = {
        name: getattr(bound, name)
        for bound in (field.metadata if field else ())
        for name in ("ge", "le")
        if hasattr(bound, name)
    }
    return f" ({shortest(ends['ge'])} to {shortest(ends['le'])})" if len(ends) == 2 else ""


def parse_parameters(text: str, *, context: str) -> dict[str, Any]:
    """Read ``key=value,key=value``; values are YAML, and commas inside brackets belong to them."""
    parameters: dict[str, Any] = {}
    context = shortened(context)
    for part in split_outside_brackets(text):
        parameter, separator, value = part.partition("=")
        if not separator or not parameter.strip():
            raise UserError(f"{context!r}: expected key=value, and found {shortened(part)!r}.")
        if parameter.strip() in parameters:
            raise UserError(f"{context!r} sets {shortened(parameter.strip())} twice.")
        try:
            parameters[parameter.strip()] = read_yaml(value)
        except yaml.YAMLError:
            raise UserError(f"{context!r}: {shortened(value)!r} is not a value.") from None
    return parameters


# A quoted string where a value may begin, or else any single character.
_TOKEN = re.compile(r"""(?<=[=\[,:{ ])(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')|.""", re.DOTALL)


def split_outside_brackets(text: str) -> list[str]:
    """Split at commas that stand neither in brackets nor in quotes."""
    parts, depth = [""], 0
    for token in _TOKEN.findall(text):
        depth += (token in "[({") - (token in "])}")
        if token == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += token
    return [part for part in parts if part.strip()]


def shortest(value: float) -> str:
    """A number in as few digits as read back to it exactly."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def _as_text(value: Any) -> str:
    """A field's value such that `parse_parameters` reads it back."""
    if isinstance(value, tuple):
        return "[" + ",".join(_as_text(item) for item in value) + "]"
    if isinstance(value, float):
        return shortest(value)
    if value is None or isinstance(value, (bool, Mapping)):
        return json.dumps(plain(value))
    if isinstance(value, int):
        return str(value)
    text = str(value)
    bare = not set(text) & set(",[](){}\"'") and _reads_as(text, text)
    return text if bare else json.dumps(text, ensure_ascii=False)


def _reads_as(text: str, value: object) -> bool:
    try:
        return bool(read_yaml(text) == value)
    except yaml.YAMLError:
        return False

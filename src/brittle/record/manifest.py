"""The manifest: everything that one must know to make a trial's numbers again, as data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, field_validator

from brittle.component import first_problem
from brittle.data import Data
from brittle.declaration.primary import Primary
from brittle.declaration.trial import Trial, make_trial
from brittle.errors import UserError, shortened
from brittle.models.dtypes import precision_text
from brittle.places import Hidden, shown
from brittle.record.arms import FORMER, Arm
from brittle.record.whole import CHANGED, UNREADABLE, Damaged, unseal

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1
PLACES = ("photos", "mask", "model", "calibration")
"""Fields of a trial that say where something lies."""
ELSEWHERE = "elsewhere"
"""What `Manifest.made` says where brittle did not make the edits."""


class Written(Data):
    """A trial's fields as its file has them, and with every default."""

    as_written: dict[str, Any]
    resolved: dict[str, Any]

    @property
    def trial(self) -> Trial:
        """The trial, read again."""
        return make_trial(self.as_written, MANIFEST)


class Model(Data):
    """The edit model, and the size at which it is used."""

    name: str
    content_hash: str = ""
    dtype: str = ""
    size: int
    revision: str = ""
    """Of a model from a hub: ``author/name@commit``."""
    safety_checker: str = ""


class OtherModel(Model):
    """A further edit model of a trial: it edits files that are made on the trial's own."""

    editors: tuple[str, ...]
    """The labels of the editors that it runs."""
    batch: int
    """Rows a call."""
    same_encoder: bool
    """Whether its autoencoder has the weights of the trial's own model's."""
    calibration: dict[str, Any] | None = None
    """Its thresholds of usable edits."""


class ComponentEntry(Data):
    """A transform, an editor or a metric, by its text form."""

    label: str
    record: dict[str, Any]

    @property
    def name(self) -> str:
        """The component's registered name."""
        return str(self.record["name"])

    @property
    def fields(self) -> Mapping[str, Any]:
        """Its parameters."""
        fields = self.record.get("fields")
        return fields if isinstance(fields, Mapping) else {}


class PhotoEntry(Data):
    """A photo as the trial used it."""

    name: str
    digest: str = ""
    width: int = 0
    height: int = 0
    credit: str = ""
    group: str = ""
    """The photos that it belongs together with: intervals are over groups. Empty: none."""
    notes: tuple[str, ...] = ()
    source_format: str = ""
    jpeg_traces: bool = False
    mask: str | None = None
    """The path of its mask in the folder."""
    seeds: dict[str, int] = Field(default_factory=dict)
    """The noise of each declared seed."""


class Collection(Data):
    """An artist's or a subject's pictures, from which a model learned."""

    name: str
    pictures: tuple[str, ...]
    seeds: dict[str, int] = Field(default_factory=dict)


class Manifest(Data):
    """A trial's ``manifest.json``."""

    model_config = ConfigDict(extra="ignore")

    schema_version: Literal[1]
    title: str = ""
    created: str = ""
    trial: Written
    primary: Primary
    notes: tuple[str, ...] = ()
    batch: int = 1
    """Rows a call of the model that edits."""
    together: int | None = None
    """Photos a call that protects has at most; None, as former versions have it: ``batch``."""
    sharded: bool = False
    """Whether shards worked here: then both numbers stay, or one would void what others did."""
    code: dict[str, str | None] = Field(default_factory=dict)
    packages: dict[str, str] = Field(default_factory=dict)
    plugins: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of the files that the trial's components come from, by name."""
    machine: dict[str, str] = Field(default_factory=dict)
    codecs: dict[str, str | None] = Field(default_factory=dict)
    device: str = ""
    also_on: tuple[str, ...] = ()
    """Other kinds of device on which somebody asked to go on."""
    dtype: str = ""
    attack_dtype: str = ""
    vae_dtype: str = ""
    compiled: bool = False
    """Whether torch compiled the denoiser."""
    model: Model
    """Protections and purifiers run on it, and it edits."""
    models: tuple[OtherModel, ...] = ()
    """Models that edit the same files."""
    photos: tuple[PhotoEntry, ...] = ()
    collections: tuple[Collection, ...] = ()
    """Empty unless a model learned from them."""
    arms: tuple[Arm, ...] = ()
    transforms: tuple[ComponentEntry, ...] = ()
    editors: tuple[ComponentEntry, ...] = ()
    metrics: tuple[ComponentEntry, ...] = ()
    calibration: dict[str, Any] | None = None
    """The thresholds of usable edits."""
    prompts: tuple[str, ...] = ()
    cut_prompts: tuple[str, ...] = ()
    """Prompts that are longer than the model reads, so that their end had no effect."""
    made: Literal["", "elsewhere"] = ""
    """Who made the edits: brittle, if empty."""
    noted: bool = False
    """Whether every picture has a note with its file's digest: not where a former version wrote."""
    files: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of the files that were made of the store: the table, the index, the report."""

    @field_validator("arms", mode="before")
    @classmethod
    def _what_labels_say(cls, value: Any) -> Any:
        """Folders of former versions leave to the label what a placebo is a placebo of."""
        if not isinstance(value, (list, tuple)):
            return value
        return [_complete(one) if isinstance(one, dict) else one for one in value]

    @property
    def rows(self) -> tuple[int, int]:
        """Rows a call that edits, and at most of one that protects."""
        return self.batch, self.together or self.batch

    @property
    def precision(self) -> str:
        """How its models computed, as `load_model` takes it."""
        return precision_text(self.dtype, self.vae_dtype, self.compiled)

    def model_of(self, editor: str) -> Model:
        """The model that runs an editor, by its label."""
        return next((one for one in self.models if editor in one.editors), self.model)

    @property
    def protections(self) -> list[str]:
        """The labels of the protections, in order."""
        return [arm.label for arm in self.arms if arm.kind == "protection"]

    @property
    def groups(self) -> dict[str, str]:
        """The group of each photo that has one."""
        return {photo.name: photo.group for photo in self.photos if photo.group}

    def published(self) -> Self:
        """The same without the folders in which a user's files lie."""
        records = [arm.record for arm in self.arms if arm.record is not None]
        records += [one.record for one in (*self.transforms, *self.editors, *self.metrics)]
        data = Hidden(records)(self.model_dump(mode="json"))
        for fields in data["trial"].values():
            for place in PLACES:
                if isinstance(fields.get(place), str):
                    fields[place] = shown(fields[place])
            if "plugins" in fields:
                fields["plugins"] = [*map(shown, fields["plugins"])]
            if "models" in fields:
                fields["models"] = {shown(name): one for name, one in fields["models"].items()}
            if "files" in fields:
                fields["files"] = {label: shown(one) for label, one in fields["files"].items()}
        return self.model_validate(data)

    def to_json(self) -> dict[str, Any]:
        """As plain data, without what says nothing."""
        data = self.model_dump(mode="json")
        return {name: value for name, value in data.items() if value not in ("", [], {})}

    def arm(self, label: str) -> Arm:
        """The arm of a label."""
        return next((arm for arm in self.arms if arm.label == label), Arm.named(label))


def _complete(arm: dict[str, Any]) -> dict[str, Any]:
    label = str(arm.get("label"))
    named = Arm.named(FORMER.get(label, label)).model_dump()
    return named | arm | {"label": named["label"]}


def read_manifest(path: Path) -> Manifest:
    """Read a ``manifest.json``.

    Raises:
        Damaged: it is none, or was changed.
        UserError: it is one of another version, or the system refuses.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from None
    text, sealed = unseal(path.name, data)
    try:
        found = Manifest.model_validate_json(text)
    except ValidationError as error:
        place, problem = first_problem(error)
        if place == "schema_version" and (first := error.errors()[0])["type"] == "literal_error":
            raise UserError(
                f"{path} has schema version {shortened(first['input'])}, and this brittle reads "
                f"{SCHEMA_VERSION}."
            ) from None
        what = f"{place}: {problem}" if place else UNREADABLE
        if sealed:
            raise UserError(f"{path} is of another version of brittle ({what}).") from None
        raise Damaged(what) from None
    if found.noted and not sealed:
        raise Damaged(CHANGED)
    return found

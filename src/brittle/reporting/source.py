"""What the report reads: the store's folder and nothing else, and never a path that leads out."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from brittle.analysis.store import over_collections
from brittle.analysis.summary import Summary
from brittle.data import Data
from brittle.errors import UserError

ARTIFACT = re.compile(r"artifacts/[0-9a-z]{1,8}/[0-9A-Za-z_-]{1,128}\.png")

S = TypeVar("S", bound=Data)

Point = tuple[str, str, str, str, str, str]
"""Image, arm, transform, editor, prompt, seed."""


@dataclass(frozen=True)
class Arm:
    """What was done to the photos before release, as the manifest says it."""

    label: str
    kind: str
    of: str | None
    record: Mapping[str, Any]
    source: str
    differs: str


@dataclass(frozen=True)
class Row:
    """One point of the grid and its pictures, as paths relative to the folder."""

    image: str
    arm: str
    transform: str
    editor: str
    prompt: str
    seed: str
    released: str | None
    received: str | None
    edited: str | None

    @property
    def point(self) -> Point:
        """Where in the grid it lies."""
        return (self.image, self.arm, self.transform, self.editor, self.prompt, self.seed)


class Folder:
    """A trial's folder without its conclusions, read once.

    Raises:
        UserError: no manifest, or one that can't be read.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.manifest = self._mapping("manifest.json")
        self.rows = self._index()
        self.scores = self._scores()

    @cached_property
    def arms(self) -> dict[str, Arm]:
        """The arms by label, in the manifest's order."""
        arms = [
            Arm(
                label=str(entry["label"]),
                kind=str(entry.get("kind", "protection")),
                of=entry.get("of"),
                record=_mapping(entry.get("record")),
                source=str(entry.get("source") or ""),
                differs=str(entry.get("differs") or ""),
            )
            for entry in self._entries("arms")
        ]
        return {arm.label: arm for arm in arms}

    @cached_property
    def transforms(self) -> dict[str, Mapping[str, Any]]:
        """The transforms' records by text form, in the manifest's order."""
        return self._records("transforms")

    @cached_property
    def editors(self) -> dict[str, Mapping[str, Any]]:
        """The editors' records by text form."""
        return self._records("editors")

    @cached_property
    def photos(self) -> dict[str, Mapping[str, Any]]:
        """What the manifest says of each photo, by name."""
        return {str(photo["name"]): photo for photo in self._entries("photos", "name")}

    @cached_property
    def prompts(self) -> list[str]:
        """The prompts, in order."""
        return [str(prompt) for prompt in self.manifest.get("prompts") or []]

    @cached_property
    def judged(self) -> frozenset[Point]:
        """The points that `usable` is asked about, with a number or without."""
        return frozenset(
            (row["image"], row["arm"], row["transform"], row["editor"], row["prompt"], row["seed"])
            for row in self._results()
            if row["metric"] == "usable"
        )

    def path(self, relative: str | None) -> Path | None:
        """A picture's file, if it lies in this folder; None otherwise."""
        if relative is None or not ARTIFACT.fullmatch(relative):
            return None
        path = self.directory / relative
        inside = path.resolve().is_relative_to(self.directory.resolve())
        return path if inside and path.is_file() else None

    def _records(self, name: str) -> dict[str, Mapping[str, Any]]:
        return {str(entry["label"]): _mapping(entry.get("record")) for entry in self._entries(name)}

    def _entries(self, name: str, key: str = "label") -> list[Mapping[str, Any]]:
        entries = self.manifest.get(name) or []
        if not isinstance(entries, list) or any(
            not isinstance(entry, Mapping) or key not in entry for entry in entries
        ):
            raise UserError(
                f"{self.directory / 'manifest.json'}: {name} is not a list with a {key} each."
            )
        return entries

    def _mapping(self, name: str) -> dict[str, Any]:
        data = self._json(name)
        if not isinstance(data, dict):
            raise UserError(f"{self.directory / name} is not what brittle writes there.")
        return data

    def _json(self, name: str) -> Any:
        text = self._text(name)
        try:
            return json.loads(text)
        except ValueError:
            raise UserError(
                f"{self.directory / name} can't be read; run the trial again to write it anew."
            ) from None

    def _text(self, name: str) -> str:
        path = self.directory / name
        if not path.is_file():
            raise UserError(
                f"{self.directory} holds no finished trial ({name} is missing): run one into it "
                "with `brittle run`, or name another folder."
            )
        return path.read_text(encoding="utf-8")

    def conclusions(self, schema: type[S]) -> S:
        """The folder's ``summary.json``.

        Raises:
            UserError: there is none, or it has another schema.
        """
        try:
            return schema.model_validate_json(self._text("summary.json"))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the file"
            raise UserError(
                f"{self.directory / 'summary.json'} is not a summary that this brittle reads "
                f"({place}: {first['msg']})."
            ) from None

    def _index(self) -> list[Row]:
        if not (self.directory / "index.json").is_file():
            return []
        data = self._json("index.json")
        if not isinstance(data, list):
            raise UserError(f"{self.directory / 'index.json'} is not what brittle writes there.")
        return [
            Row(
                *(str(entry[name]) for name in ("image", "arm", "transform")),
                *(str(entry[name]) for name in ("editor", "prompt", "seed")),
                *(entry.get(name) for name in ("released", "received", "edited")),
            )
            for entry in data
        ]

    def _scores(self) -> dict[Point, dict[str, float]]:
        """The scores of single edits: of each metric the first with a number."""
        scores: dict[Point, dict[str, float]] = {}
        for row in self._results():
            if row["value"] and row["reference"] in ("photo", "control", "originals"):
                cell = (row["image"], row["arm"], row["transform"])
                point: Point = (*cell, row["editor"], row["prompt"], row["seed"])
                scores.setdefault(point, {}).setdefault(row["metric"], float(row["value"]))
        return scores

    def _results(self) -> Iterator[dict[str, str]]:
        """The lines of ``results.csv`` by column; none where there is no such file."""
        if (self.directory / "results.csv").is_file():
            yield from csv.DictReader(io.StringIO(self._text("results.csv"), newline=""))


class Source(Folder):
    """The folder of a trial over photos.

    Raises:
        UserError: as `Folder`; no summary, or that of a trial over collections.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        if over_collections(self.manifest):
            raise UserError(f"{directory} holds a trial over collections, which has no such pages.")
        self.summary = self.conclusions(Summary)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

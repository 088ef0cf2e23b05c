"""The store: a trial's pictures and scores, on disk or in memory.

Keys hash everything that a picture or a cell depends on, so what is there is right, and nothing is
computed twice. On disk ``artifacts/ab/KEY.png`` holds pictures, with ``KEY.json`` beside those of
which something was noted, and ``cells/ab/KEY.json`` scores. Every file is written to a temporary
name, flushed to the disk and renamed, so a file under its final name is whole.
"""

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from torch import Tensor

from brittle.decoding import Levels
from brittle.errors import UserError
from brittle.images import (
    from_bytes,
    levels_from_png,
    png_from_levels,
    to_bytes,
    write_bytes,
)
from brittle.record.manifest import Manifest, read_manifest

MAY_DIFFER = ("title", "metrics", "calibration", "threat_model", "not_tried", "batch")
"""Fields of a trial that a folder may see change: all others would mix two trials."""

MANIFEST, RESULTS, INDEX, SUMMARY = "manifest.json", "results.csv", "index.json", "summary.json"


def dump(data: Any) -> bytes:
    """Plain data as JSON, the same bytes every time."""
    return (json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def artifact(key: str) -> Path:
    """Where the picture of a key lies, relative to a store's folder."""
    return Path("artifacts") / key[:2] / f"{key}.png"


class Store(ABC):
    """Pictures by their key, what was noted of their making, and the scores of cells.

    A store with ``seen_only`` keeps what a model sees of a received picture in the place of the
    picture, and a released one not at all.
    """

    seen_only = False

    @abstractmethod
    def has(self, key: str) -> bool:
        """Whether the picture of a key was computed."""

    @abstractmethod
    def read_levels(self, key: str) -> Levels:
        """The picture of a key as levels (H, W, 3)."""

    @abstractmethod
    def write_levels(self, key: str, levels: Levels) -> None:
        """Keep levels (H, W, 3), losslessly."""

    def keep_received(self, key: str, levels: Levels) -> None:
        """Keep a received picture, or what the model sees of it: `write_levels`, but for a run."""
        self.write_levels(key, levels)

    @abstractmethod
    def read_note(self, key: str) -> dict[str, Any]:
        """What was noted of a picture's making; empty where nothing was."""

    @abstractmethod
    def write_note(self, key: str, note: dict[str, Any]) -> None:
        """Note something of a picture's making; written before the picture."""

    @abstractmethod
    def read_cell(self, key: str) -> dict[str, Any]:
        """The scores of a cell by metric; empty where none were computed."""

    @abstractmethod
    def write_cell(self, key: str, cell: dict[str, Any]) -> None:
        """Keep a cell's scores; written after every picture that they depend on."""

    def read(self, key: str) -> Tensor:
        """The picture of a key, (1, 3, H, W) in [0, 1] on the 8-bit grid."""
        return from_bytes(self.read_levels(key)[None])

    def write(self, key: str, image: Tensor) -> None:
        """Keep an image (1, 3, H, W) on the 8-bit grid."""
        self.write_levels(key, to_bytes(image)[0])


class MemoryStore(Store):
    """A store for one answer: nothing is written, and what a model does not see is not kept."""

    seen_only = True

    def __init__(self) -> None:
        self._pictures: dict[str, Levels] = {}
        self._notes: dict[str, dict[str, Any]] = {}
        self._cells: dict[str, dict[str, Any]] = {}

    def has(self, key: str) -> bool:
        """As `Store.has`."""
        return key in self._pictures

    def read_levels(self, key: str) -> Levels:
        """As `Store.read_levels`."""
        return self._pictures[key]

    def write_levels(self, key: str, levels: Levels) -> None:
        """As `Store.write_levels`."""
        self._pictures[key] = levels

    def read_note(self, key: str) -> dict[str, Any]:
        """As `Store.read_note`."""
        return self._notes.get(key, {})

    def write_note(self, key: str, note: dict[str, Any]) -> None:
        """As `Store.write_note`."""
        self._notes[key] = note

    def read_cell(self, key: str) -> dict[str, Any]:
        """As `Store.read_cell`."""
        return self._cells.get(key, {})

    def write_cell(self, key: str, cell: dict[str, Any]) -> None:
        """As `Store.write_cell`."""
        self._cells[key] = cell


class FolderStore(Store):
    """A trial's folder on disk, which survives a kill at any moment.

    With ``seen_only`` what was received is kept in memory alone, and is soon made again.
    """

    def __init__(self, directory: Path, *, seen_only: bool = False) -> None:
        self.directory, self.seen_only = directory, seen_only
        self._received = MemoryStore()

    @property
    def manifest(self) -> Manifest | None:
        """What the folder says that it holds; None for a new or an empty one.

        Raises:
            UserError: the folder holds other files, or a manifest that can't be read.
        """
        path = self.directory / MANIFEST
        if path.is_file():
            return read_manifest(path)
        if self.directory.exists() and not self.directory.is_dir():
            raise UserError(f"{self.directory} is a file; choose a folder with --out.")
        if self.directory.is_dir() and any(
            not entry.name.startswith(".") for entry in self.directory.iterdir()
        ):
            raise UserError(
                f"{self.directory} holds other files and no trial; choose a new folder (--out)."
            )
        return None

    def open(self, manifest: Manifest) -> Manifest:
        """Claim the folder for a trial, or go on with the same one; returns what it now says.

        Raises:
            UserError: the folder holds another trial; the sentence names what differs.
        """
        found = self.manifest
        if found is not None:
            differing = [
                *_differing(found.trial.resolved, manifest.trial.resolved),
                *(
                    part
                    for part in ("photos", "model", "primary")
                    if getattr(found, part) != getattr(manifest, part)
                ),
            ]
            if differing:
                raise UserError(
                    f"{self.directory} holds another trial (its {', '.join(differing)} differ); "
                    "choose another folder with --out."
                )
            notes = tuple(dict.fromkeys([*found.notes, *manifest.notes]))
            manifest = manifest.model_copy(update={"created": found.created, "notes": notes})
        self.write_manifest(manifest)
        return manifest

    def write_manifest(self, manifest: Manifest) -> None:
        """Write the manifest, its fields in the order in which they are declared."""
        text = json.dumps(manifest.to_json(), indent=1, ensure_ascii=False) + "\n"
        self.write_file(MANIFEST, text.encode())

    def write_json(self, name: str, data: Any) -> None:
        """Write one of the folder's own files as JSON."""
        self.write_file(name, dump(data))

    def write_file(self, name: str, data: bytes) -> None:
        """Write one of the folder's files, whole or not at all."""
        write_bytes(self.directory / name, data, overwrite=True)

    def has(self, key: str) -> bool:
        """As `Store.has`."""
        return self._received.has(key) or self._picture(key).is_file()

    def read_levels(self, key: str) -> Levels:
        """As `Store.read_levels`."""
        if self._received.has(key):
            return self._received.read_levels(key)
        return levels_from_png(self._picture(key).read_bytes())

    def write_levels(self, key: str, levels: Levels) -> None:
        """As `Store.write_levels`: the same file for the same picture."""
        self.write_file(str(artifact(key)), png_from_levels(levels))

    def keep_received(self, key: str, levels: Levels) -> None:
        """As `Store.keep_received`."""
        if self.seen_only:
            self._received.write_levels(key, levels)
        else:
            self.write_levels(key, levels)

    def read_note(self, key: str) -> dict[str, Any]:
        """As `Store.read_note`."""
        return _read(self._picture(key).with_suffix(".json"))

    def write_note(self, key: str, note: dict[str, Any]) -> None:
        """As `Store.write_note`."""
        self.write_json(str(artifact(key).with_suffix(".json")), note)

    def read_cell(self, key: str) -> dict[str, Any]:
        """As `Store.read_cell`."""
        return _read(self.directory / _cell(key))

    def write_cell(self, key: str, cell: dict[str, Any]) -> None:
        """As `Store.write_cell`."""
        self.write_json(_cell(key), cell)

    def _picture(self, key: str) -> Path:
        return self.directory / artifact(key)


def _cell(key: str) -> str:
    return f"cells/{key[:2]}/{key}.json"


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_bytes())) if path.is_file() else {}


def _differing(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    return [
        field
        for field in sorted({*found, *wanted} - set(MAY_DIFFER))
        if found.get(field) != wanted.get(field)
    ]

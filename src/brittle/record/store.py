"""The store: a folder of artefacts and cells that survives a kill at any moment.

``artifacts/ab/KEY.png`` holds images, ``cells/ab/KEY.json`` scores. Every file is written to a
temporary name, flushed to the disk and renamed, so a file under its final name is whole. Keys hash
everything that a file depends on, so a file that exists is right, and nothing is computed twice.
"""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from brittle.decoding import Levels
from brittle.errors import UserError
from brittle.images import (
    from_png,
    levels_from_png,
    png_bytes,
    png_from_levels,
    write_bytes,
)

SCHEMA_VERSION = 1
MAY_DIFFER = ("title", "metrics", "calibration", "threat_model", "not_tried", "batch")
"""Fields of a trial that a folder may see change: all others would mix two trials."""


def dump(data: Any) -> bytes:
    """Plain data as JSON, the same bytes every time."""
    return (json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


class Store:
    """A trial's folder on disk."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def manifest(self) -> dict[str, Any] | None:
        """What the folder says that it holds; None for a new or an empty one.

        Raises:
            UserError: the folder holds other files, or a manifest that can't be read.
        """
        path = self.directory / "manifest.json"
        if not path.is_file():
            if self.directory.exists() and not self.directory.is_dir():
                raise UserError(f"{self.directory} is a file; choose a folder with --out.")
            if self.directory.is_dir() and any(
                not entry.name.startswith(".") for entry in self.directory.iterdir()
            ):
                raise UserError(
                    f"{self.directory} holds other files and no trial; choose a new folder (--out)."
                )
            return None
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            version = manifest["schema_version"]
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path} is not a manifest of brittle.") from None
        if version != SCHEMA_VERSION:
            raise UserError(
                f"{path} has schema version {version}, and this brittle reads {SCHEMA_VERSION}."
            )
        return dict(manifest)

    def open(self, manifest: dict[str, Any]) -> None:
        """Claim the folder for a trial, or go on with the same one.

        Raises:
            UserError: the folder holds another trial; the sentence names what differs.
        """
        found = self.manifest
        if found is not None:
            differing = [
                *_differing(found["trial"]["resolved"], manifest["trial"]["resolved"]),
                *(key for key in ("photos", "model", "primary") if found[key] != manifest[key]),
            ]
            if differing:
                raise UserError(
                    f"{self.directory} holds another trial (its {', '.join(differing)} differ); "
                    "choose another folder with --out."
                )
            notes = list(dict.fromkeys([*found["notes"], *manifest["notes"]]))
            manifest = {**manifest, "created": found["created"], "notes": notes}
        self.write_json("manifest.json", manifest)

    def write_json(self, name: str, data: Any) -> None:
        """Write one of the folder's own files as JSON."""
        self.write_file(name, dump(data))

    def write_file(self, name: str, data: bytes) -> None:
        """Write one of the folder's files, whole or not at all."""
        write_bytes(self.directory / name, data, overwrite=True)

    @staticmethod
    def artifact(key: str) -> Path:
        """Where the image of a key lies, relative to the folder."""
        return Path("artifacts") / key[:2] / f"{key}.png"

    def has(self, key: str) -> bool:
        """Whether the image of a key was computed."""
        return (self.directory / self.artifact(key)).is_file()

    def read(self, key: str) -> Tensor:
        """The image of a key, (1, 3, H, W) in [0, 1] on the 8-bit grid."""
        return from_png((self.directory / self.artifact(key)).read_bytes())

    def write(self, key: str, image: Tensor) -> None:
        """Keep an image (1, 3, H, W), losslessly."""
        self.write_file(str(self.artifact(key)), png_bytes(image))

    def read_levels(self, key: str) -> Levels:
        """The image of a key as levels (H, W, 3)."""
        return levels_from_png((self.directory / self.artifact(key)).read_bytes())

    def write_levels(self, key: str, levels: Levels) -> None:
        """Keep levels (H, W, 3): the same file that `write` makes of the same picture."""
        self.write_file(str(self.artifact(key)), png_from_levels(levels))

    def write_trace(self, key: str, trace: dict[str, Any]) -> None:
        """Keep what a protection told about its work on the image of a key, beside it."""
        self.write_json(str(self.artifact(key).with_suffix(".json")), trace)

    def read_cell(self, key: str) -> dict[str, Any]:
        """The scores of a cell by metric; empty where none were computed."""
        path = self.directory / "cells" / key[:2] / f"{key}.json"
        return dict(json.loads(path.read_bytes())) if path.is_file() else {}

    def write_cell(self, key: str, cell: dict[str, Any]) -> None:
        """Keep a cell's scores; written after every image that they depend on."""
        self.write_json(f"cells/{key[:2]}/{key}.json", cell)


def _differing(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    return [
        field
        for field in sorted({*found, *wanted} - set(MAY_DIFFER))
        if found.get(field) != wanted.get(field)
    ]

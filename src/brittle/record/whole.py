"""Whether a file is as brittle wrote it.

A JSON file of a store ends in the digest of its own text and of its name, so that neither a change
nor a swap goes unseen. A picture's note holds the digest of its file: of the file and not of the
pixels, since that costs no decoding, a tenth of the time. What a former version wrote has neither:
of its pictures only the check sums that every PNG has can be tried.
"""

import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from brittle.data import Data

PICTURE, WHOLE = "picture", "whole"
"""The fields of a note that hold the digest of its picture's file, and of the note itself."""
CHANGED, UNREADABLE = "changed after it was written", "can't be read"
_SEAL = re.compile(rb',\n "whole": "([0-9a-f]{64})"\n}\n\Z')


class Damaged(Exception):
    """A file is not as brittle wrote it; says what is wrong with it."""


class Json(NamedTuple):
    """A JSON object's text without its digest, and whether a digest vouches for it."""

    text: bytes
    sealed: bool


def sha256(data: bytes) -> str:
    """The digest of a file, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


class Hashed:
    """The pieces of a file as they are written, once, and then its digest as of `sha256`."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces, self._hash = pieces, hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        """The pieces."""
        for piece in self._pieces:
            self._hash.update(piece)
            yield piece

    @property
    def digest(self) -> str:
        """That of all pieces so far."""
        return self._hash.hexdigest()


def seal(name: str, text: bytes) -> bytes:
    """The text of a JSON object with its digest as the last field, under the name of its file."""
    digest = sha256(name.encode() + b"\0" + text).encode()
    return text.removesuffix(b"\n}\n") + b',\n "whole": "' + digest + b'"\n}\n'


def unseal(name: str, data: bytes) -> Json:
    """A JSON file's text without its digest; one of a former version has none.

    Raises:
        Damaged: the file was changed, or belongs under another name.
    """
    found = _SEAL.search(data)
    if found is None:
        return Json(data, False)
    text = data[: found.start()] + b"\n}\n"
    if seal(name, text) != data:
        raise Damaged(CHANGED)
    return Json(text, True)


def read_object(name: str, data: bytes) -> tuple[dict[str, Any], bool]:
    """What a JSON file says, and whether a digest vouches for it.

    Raises:
        Damaged: as `unseal`; it is no JSON object.
    """
    text, sealed = unseal(name, data)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise Damaged(UNREADABLE) from None
    if not isinstance(found, dict) or WHOLE in found:
        raise Damaged(CHANGED)
    return found, sealed


def read_note(directory: Path, picture: str, *, noted: bool) -> dict[str, Any]:
    """What is noted of a picture at a path relative to a folder; empty where nothing is.

    ``noted``: the folder has notes of all its pictures, each with a digest of itself.

    Raises:
        Damaged: as `read_object`.
    """
    name = picture.removesuffix(".png") + ".json"
    try:
        data = (directory / name).read_bytes()
    except FileNotFoundError:
        return {}
    note, sealed = read_object(name, data)
    if not sealed and (noted or PICTURE in note):
        raise Damaged(CHANGED)
    return note


def read_picture(directory: Path, picture: str, *, noted: bool) -> tuple[bytes, bool]:
    """The file of a picture at a path relative to a folder, and whether a digest vouches for it.

    ``noted`` as in `read_note`: then a picture without a note is not trusted.

    Raises:
        Damaged: the file or its note was changed, or the note is missing.
        FileNotFoundError: there is no such file.
    """
    data = (directory / picture).read_bytes()
    digest = read_note(directory, picture, noted=noted).get(PICTURE)
    if digest is not None and digest != sha256(data):
        raise Damaged(CHANGED)
    if digest is None and noted:
        raise Damaged("its note is missing")
    if digest is None:
        _check_sums(data)
    return data, digest is not None


def read_cell(directory: Path, cell: str, *, noted: bool) -> tuple[dict[str, Any], bool]:
    """What the file of a cell says, and whether a digest vouches for it; as `read_picture`."""
    found, sealed = read_object(cell, (directory / cell).read_bytes())
    if noted and not sealed:
        raise Damaged(CHANGED)
    if not sealed:
        _check_cell(found)
    return found, sealed


class _Score(Data):
    metric: str
    reference: str
    value: float | None
    reason: str = ""


class _Cell(Data):
    scores: dict[str, list[_Score]]
    metrics: dict[str, str]


def _check_cell(found: dict[str, Any]) -> None:
    try:
        _Cell.model_validate(found)
    except ValueError:
        raise Damaged("holds no scores") from None


def _check_sums(data: bytes) -> None:
    """Refuse a PNG whose own check sums say that it was changed."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            picture.verify()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise Damaged(UNREADABLE) from None

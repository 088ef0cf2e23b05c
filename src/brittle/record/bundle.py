"""A finished trial in one file, to be opened elsewhere: what a report needs, and nothing else."""

import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from brittle.errors import UserError
from brittle.images import write_bytes
from brittle.record.manifest import MANIFEST
from brittle.record.record import ARTIFACT, Record
from brittle.record.store import INDEX, MEND, RESULTS

SUFFIX = ".zip"
FILES = (MANIFEST, RESULTS, INDEX)
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every member, so that one folder always gives the same bytes."""
LARGEST = 64 * 2**20
"""Bytes of one unpacked member: more than any picture or table of a trial has."""


def pack(record: Record, path: Path, *, overwrite: bool = False) -> None:
    """Write a trial's folder as a bundle: manifest, scores, index and pictures.

    Raises:
        UserError: no .zip file, one that is there, or it can't be written; a picture is damaged.
    """
    assert record.directory is not None, "a trial in memory has no folder"
    if path.suffix != SUFFIX:
        raise UserError(f"A bundle is a {SUFFIX} file: name one in place of {path}.")
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists already, and is never overwritten unasked: name another.")
    members = list(dict.fromkeys(_members(record)))
    whole = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(whole, "w") as bundle:
            for name in members:
                about = zipfile.ZipInfo(name, EPOCH)
                if not name.endswith(".png"):
                    about.compress_type = zipfile.ZIP_DEFLATED
                bundle.writestr(about, (record.directory / name).read_bytes())
        whole.replace(path)
    except OSError as error:
        whole.unlink(missing_ok=True)
        raise UserError(f"{path} can't be written: {error.strerror}.") from None


def _members(record: Record) -> Iterator[str]:
    yield from FILES
    for entry in record.index:
        for relative in (entry.released, entry.received, entry.edited):
            picture = record.path(relative)
            if relative is None or picture is None:
                continue
            if record.picture(relative) is None:
                raise UserError(f"{picture} is damaged: {MEND}.")
            yield relative
            if picture.with_suffix(".json").is_file():
                yield str(PurePosixPath(relative).with_suffix(".json"))


def unpack(path: Path) -> Path:
    """The folder of a bundle, made beside it under its name; one that is there is used as it is.

    Raises:
        UserError: the file is no bundle, or holds what no trial has.
    """
    directory = path.with_suffix("")
    return directory if directory.is_dir() else unpack_into(path, directory)


def unpack_into(path: Path, directory: Path) -> Path:
    """Unpack a bundle into a new folder, and return that; errors as `unpack`."""
    try:
        with zipfile.ZipFile(path) as bundle:
            members = bundle.infolist()
            for member in members:
                _check(member, path)
            for member in members:
                target = directory / member.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(target, bundle.read(member))
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise UserError(f"{path} can't be read as a bundle of brittle export: {error}.") from None
    return directory


def _check(member: zipfile.ZipInfo, path: Path) -> None:
    """Refuse a member that is not one of a trial's own files, before anything is written."""
    picture = str(PurePosixPath(member.filename).with_suffix(".png"))
    known = member.filename in FILES or (
        ARTIFACT.fullmatch(picture) and member.filename.endswith((".png", ".json"))
    )
    if not known or member.file_size > LARGEST:
        raise UserError(f"{path} is no bundle of brittle export: it holds {member.filename!r}.")

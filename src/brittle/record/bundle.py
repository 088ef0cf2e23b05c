"""A finished trial in one file, to be opened elsewhere: what a report needs, and nothing else."""

import lzma
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from brittle.errors import UserError
from brittle.images import write_bytes
from brittle.record.manifest import MANIFEST
from brittle.record.record import ARTIFACT, Record
from brittle.record.store import INDEX, MEND, RESULTS

SUFFIX = ".zip"
FILES = (MANIFEST, RESULTS, INDEX)
UNPACKED = ".unpacked"
"""A file in the folder of a bundle, which has no cells."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every member, so that one folder always gives the same bytes."""
LARGEST = 64 * 2**20
"""Bytes of one unpacked picture or note: more than any of a trial has."""
LARGEST_TABLE = 2 * 2**30
"""Bytes of a manifest, index or table of scores; those of the bench ``full`` have a tenth."""
DAMAGED = (zipfile.BadZipFile, OSError, EOFError, RuntimeError, zlib.error, lzma.LZMAError)
"""What reading a damaged or encrypted archive raises, or one that is packed by unknown means."""


def pack(record: Record, path: Path, *, overwrite: bool = False) -> None:
    """Write a trial's folder as a bundle: manifest, scores, index and pictures.

    Raises:
        UserError: no .zip file, one that is there, or it can't be written; a picture is damaged.
    """
    assert record.directory is not None, "a trial in memory has no folder"
    if path.suffix != SUFFIX:
        raise UserError(f"A bundle is a {SUFFIX} file: name one in place of {path}.")
    if path.exists() and not overwrite:
        raise UserError(
            f"{path} exists already, and is never overwritten unasked: name another, or say "
            "--force where there is one."
        )
    members = list(dict.fromkeys(_members(record)))
    for name in members:
        _check_size(name, (record.directory / name).stat().st_size, path)
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
    """Unpack a bundle into a new folder, whole or not at all; errors as `unpack`."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".brittle-", dir=directory.parent) as half:
        try:
            with zipfile.ZipFile(path) as bundle:
                members = bundle.infolist()
                _check(members, path, room=shutil.disk_usage(half).free)
                for member in members:
                    target = Path(half) / "bundle" / member.filename
                    target.parent.mkdir(parents=True, exist_ok=True)
                    write_bytes(target, bundle.read(member), flush=False)
            (Path(half) / "bundle" / UNPACKED).touch()
        except DAMAGED as error:
            raise UserError(
                f"{path} can't be read as a bundle of brittle export: {error}."
            ) from None
        (Path(half) / "bundle").rename(directory)
    return directory


def _check(members: Sequence[zipfile.ZipInfo], path: Path, *, room: int) -> None:
    """Refuse members that are not a trial's own files, before anything is written.

    ``room``: bytes that all of them may take.
    """
    for member in members:
        picture = str(PurePosixPath(member.filename).with_suffix(".png"))
        of_trial = ARTIFACT.fullmatch(picture) and member.filename.endswith((".png", ".json"))
        if member.filename not in FILES and not of_trial:
            raise UserError(f"{path} is no bundle of brittle export: it holds {member.filename!r}.")
        _check_size(member.filename, member.file_size, path)
    if not members:
        raise UserError(f"{path} is no bundle of brittle export: it is empty.")
    if len({member.filename for member in members}) < len(members):
        raise UserError(f"{path} is no bundle of brittle export: it holds a file twice.")
    if (total := sum(member.file_size for member in members)) > room:
        raise UserError(
            f"{path} takes {total / 1e9:.1f} GB unpacked, and {room / 1e9:.1f} GB are free beside "
            "it: make room, or move it."
        )


def _check_size(name: str, size: int, path: Path) -> None:
    most = LARGEST_TABLE if name in FILES else LARGEST
    if size > most:
        raise UserError(
            f"{path}: {name} has {size / 2**20:,.0f} MiB, and a bundle's may have "
            f"{most / 2**20:,.0f}."
        )

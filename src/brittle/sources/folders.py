"""Which files of a folder are photos, and which were left out."""

import os
from collections.abc import Sequence
from pathlib import Path

from brittle.decoding import is_picture
from brittle.errors import UserError, printable

SUFFIXES = {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jif", ".jfif", ".jfi", ".mpo", ".webp"}
SUFFIXES |= {".avif", ".tif", ".tiff", ".bmp", ".dib", ".gif", ".jp2", ".j2k", ".jpf", ".jpx"}
"""A file so named is a photo, and if it can't be read, that is said; others are looked into."""
NAMED = 5
"""How many of the files that were left out are named."""


def photo_files(source: Path) -> list[Path]:
    """The photos of a folder in the order of their names, without masks; or the one file.

    Raises:
        UserError: nothing there.
    """
    if not os.path.exists(source):  # Path.exists raises where a name is too long
        raise UserError(f"{source}: there is no such folder or photo.")
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise UserError(f"{source} is neither a file nor a folder.")
    files = [path for path in _shown(source) if _is_photo(path)]
    if not files:
        others = "".join(f" {note}" for note in left_out(source))
        raise UserError(f"{source} holds no photos ({', '.join(sorted(SUFFIXES))}).{others}")
    return files


def left_out(source: Path, folders: Sequence[Path] = ()) -> tuple[str, ...]:
    """A sentence on a folder's files that are neither photos nor masks, if there are any.

    ``folders`` are those in it, itself among them, whose files count; only its own if none is.
    """
    if not source.is_dir():
        return ()
    names = [
        printable(path.relative_to(source).as_posix())
        for folder in folders or [source]
        for path in sorted([*_no_photos(folder), *_broken_links(folder)])
    ]
    if not names:
        return ()
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    files = "1 file isn't a picture" if len(names) == 1 else f"{len(names)} files aren't pictures"
    return (
        f"In {printable(source.name or source)}, {files} that can be read, and nothing was made of "
        f"{'it' if len(names) == 1 else 'them'}: {', '.join(names[:NAMED])}{more}.",
    )


def folders_below(source: Path, without: Path | None = None) -> list[Path]:
    """A folder and all that it holds, at any depth; no links to others, and not ``without``."""
    found = [source]
    for folder in folders_of(source):
        inside = without is not None and without.is_dir() and folder.samefile(without)
        if not folder.is_symlink() and not inside:
            found += folders_below(folder, without)
    return found


def collections(source: Path) -> list[Path]:
    """The folders of pictures in a folder, or itself where it is one.

    Raises:
        UserError: it is both.
    """
    if not source.is_dir():
        return [source]
    inner = folders_of(source)
    if inner and holds_photos(source):
        raise UserError(f"{source} holds pictures and folders: give one collection, or several.")
    return inner or [source]


def folders_of(source: Path) -> list[Path]:
    """The folders in a folder, in the order of their names; none where it is not there."""
    if not os.path.isdir(source):
        return []
    return sorted(
        path
        for path in source.iterdir()
        if path.is_dir() and not path.name.startswith((".", "__MACOSX"))
    )


def holds_photos(folder: Path) -> bool:
    """Whether photos lie in a folder itself."""
    return os.path.isdir(folder) and any(_is_photo(path) for path in _shown(folder))


def _shown(folder: Path) -> list[Path]:
    """A folder's files without masks and hidden ones, as macOS's ``._`` twins are."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and not path.name.startswith(".") and not path.stem.endswith(".mask")
    )


def _no_photos(folder: Path) -> list[Path]:
    return [path for path in _shown(folder) if not _is_photo(path)]


def _broken_links(folder: Path) -> list[Path]:
    """What a folder has of links to photos that aren't there."""
    return [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and path.is_symlink() and not os.path.exists(path)
    ]


def _is_photo(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES or is_picture(path)

"""What the page sends: photos in trays, each a folder, refused before they are decoded."""

import os
import re
import shutil
from collections.abc import AsyncIterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from brittle.decoding import MAX_BYTES, decode
from brittle.errors import UserError, shortened

VISIT = re.compile(r"[0-9a-f]{32}")
"""The name that a page draws when it is opened: nobody else knows it."""
TRAYS = ("originals", "protected", "photos", "own photo")
"""What a visit may fill."""
SEPARATORS = re.compile(r"[/\\\0]")
LONGEST = 255
"""Bytes that a file's name may have on nearly all systems."""


class Uploads:
    """The trays of a server: ``root/VISIT/TRAY/PHOTO``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def photos(self, visit: str, tray: str) -> list[Path]:
        """The photos of a tray, in the order of their names.

        Raises:
            UserError: there is none, or no such tray.
        """
        folder = self._tray(visit, tray)
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        if not files:
            raise UserError("A photo is missing: drop one, or choose a file.")
        return files

    async def receive(
        self,
        visit: str,
        tray: str,
        name: str,
        body: AsyncIterable[bytes],
        max_bytes: int = MAX_BYTES,
    ) -> Path:
        """Write a file into a tray as it comes, and no byte more than is allowed.

        Raises:
            UserError: it is too large, has no usable name, or one of its name is there; the system
                refuses.
        """
        path = self._place(visit, tray, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        size = 0
        try:
            with path.open("xb") as file:
                async for part in body:
                    size += len(part)
                    if size > max_bytes:
                        raise UserError(
                            f"{name} is larger than {max_bytes // 2**20} MB: save it smaller."
                        )
                    file.write(part)
        except FileExistsError:
            raise UserError(f"Two of the photos are named {name}: rename one.") from None
        except BaseException as error:  # the browser went away, too
            with suppress(OSError):
                path.unlink(missing_ok=True)
            if not isinstance(error, OSError):
                raise
            raise UserError(f"{name} couldn't be written: {error.strerror or error}.") from error
        return path

    def remove(self, visit: str, tray: str, name: str = "") -> None:
        """Remove a photo from a tray, or all of them."""
        if name:
            self._place(visit, tray, name).unlink(missing_ok=True)
        else:
            shutil.rmtree(self._tray(visit, tray), ignore_errors=True)

    def _tray(self, visit: str, tray: str) -> Path:
        if not VISIT.fullmatch(visit) or tray not in TRAYS:
            raise UserError("There is no such tray of photos: open the page again.")
        return self.root / visit / tray

    def _place(self, visit: str, tray: str, name: str) -> Path:
        if not name or name.startswith(".") or SEPARATORS.search(name):
            raise UserError(f"{name!r} is no name for a photo: rename the file.")
        if len(os.fsencode(name)) > LONGEST:
            raise UserError(f"The name {shortened(name)} is too long: rename the file.")
        return self._tray(visit, tray) / name


def look_at(path: Path) -> dict[str, Any]:
    """What the page says of a photo that arrived; one that can't be read doesn't stay.

    Raises:
        UserError: it isn't an image, has too many pixels, or is damaged.
    """
    try:
        decoded = decode(path)
    except UserError:
        path.unlink(missing_ok=True)
        raise
    height, width = decoded.colours.shape[:2]
    return {"width": width, "height": height, "notes": decoded.notes}

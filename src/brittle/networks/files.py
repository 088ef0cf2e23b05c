"""Weights that a version of brittle knows by their content."""

import hashlib
from pathlib import Path

from brittle.errors import UserError


def known_bytes(path: Path, sha256: str) -> bytes:
    """A file's bytes, if they are those that ``sha256`` says.

    Raises:
        UserError: they are others, or can't be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path.name} can't be read: {error.strerror}.") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UserError(f"{path.name} is not the file that brittle knows: install it anew.")
    return content

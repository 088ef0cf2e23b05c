"""What the library returns where a command prints."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

Found = TypeVar("Found", covariant=True)
Say = Callable[[str], None]
"""Takes what a person should read while work goes on, a line at a time."""


@dataclass(frozen=True)
class Report(Generic[Found]):
    """What was found: as data, in the words that the command prints, and where it was written.

    ``path`` is None where nothing was written.

    >>> report = brittle.visibility("me.png", "protected.png")
    >>> report.found["largest change"] <= 16, report.path
    (True, None)
    """

    found: Found
    text: str
    path: Path | None = None


def quiet(text: str) -> None:
    """Say nothing."""

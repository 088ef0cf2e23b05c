"""The two errors that brittle raises on purpose, and texts from anyone inside a sentence."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

_UNSEEN = re.compile(r"[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What steers a terminal (ESC, C1), turns the order of letters around (bidirectional overrides),
or is a byte of a file's name that is no UTF-8. Line feeds and tabs are layout."""


_ENDLESS = re.compile(r"(\S{100})\S{200,}(\S{60})")
"""A word that is longer than a path may be."""


class UserError(ValueError):
    r"""Something the user gave can't be used: one sentence that says what is wrong and what to do.

    The command line prints it and exits with code 2. It is one line. What can't be shown in it,
    such as bytes of a file's name that are no UTF-8, is written as ``\udcff``, and of a word
    without end its middle is left out.
    """

    def __str__(self) -> str:
        """The sentence."""
        return _ENDLESS.sub(r"\1…\2", printable(super().__str__()).replace("\n", "\\n"))


class Unavailable(RuntimeError):
    """A number can't be computed here; the message is the reason that is stored in its place."""


def printable(text: object) -> str:
    r"""A text, or a path, that can be shown anywhere and steers no terminal.

    What can't is written as ``\u001b``, which JSON reads as the same character.
    """
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", str(text))


def is_utf8(name: str) -> bool:
    """Whether a file's name is UTF-8: bytes that aren't are lone surrogates in it."""
    return name.encode("utf-8", "replace").decode() == name


def shortened(text: object, most: int = 80) -> str:
    """A text with at most so many characters, and three dots for the rest."""
    text = str(text)
    return text if len(text) <= most else f"{text[:most]}…"


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a GPU or on the CPU, where torch raises a plain RuntimeError."""
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return known or "allocate memory" in str(error)


@contextmanager
def needed(failing: str) -> Iterator[None]:
    """What can't be had and is needed here: `Unavailable` becomes UserError.

    ``failing`` begins the sentence, which ends with the reason.
    """
    try:
        yield
    except Unavailable as error:
        raise UserError(f"{failing}: {error}.") from error

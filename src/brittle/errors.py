"""The two errors that brittle raises on purpose."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    r"""Something the user gave can't be used: one sentence that says what is wrong and what to do.

    The command line prints it and exits with code 2. Bytes of a file's name that are no UTF-8 are
    written as ``\udcff``, so that the sentence can be printed.
    """

    def __str__(self) -> str:
        """The sentence."""
        return printable(super().__str__())


class Unavailable(RuntimeError):
    """A number can't be computed here; the message is the reason that is stored in its place."""


def printable(text: object) -> str:
    r"""A text, or a path, that can be written as UTF-8: other bytes of a name as ``\udcff``."""
    return str(text).encode("utf-8", "backslashreplace").decode()


@contextmanager
def needed(failing: str) -> Iterator[None]:
    """What can't be had and is needed here: `Unavailable` becomes UserError.

    ``failing`` begins the sentence, which ends with the reason.
    """
    try:
        yield
    except Unavailable as error:
        raise UserError(f"{failing}: {error}.") from error

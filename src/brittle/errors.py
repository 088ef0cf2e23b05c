"""The two errors that brittle raises on purpose."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """Something the user gave can't be used: one sentence that says what is wrong and what to do.

    The command line prints it and exits with code 2.
    """


class Unavailable(RuntimeError):
    """A number can't be computed here; the message is the reason that is stored in its place."""


@contextmanager
def needed(failing: str) -> Iterator[None]:
    """What can't be had and is needed here: `Unavailable` becomes UserError.

    ``failing`` begins the sentence, which ends with the reason.
    """
    try:
        yield
    except Unavailable as error:
        raise UserError(f"{failing}: {error}.") from error

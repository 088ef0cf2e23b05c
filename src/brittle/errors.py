"""The two errors that brittle raises on purpose."""


class UserError(ValueError):
    """Something the user gave can't be used: one sentence that says what is wrong and what to do.

    The command line prints it and exits with code 2.
    """


class Unavailable(RuntimeError):
    """A number can't be computed here; the message is the reason that is stored in its place."""

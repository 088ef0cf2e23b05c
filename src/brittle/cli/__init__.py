"""The command line: one short function a command, which calls one of the library's.

The modules register their commands when imported, in the order that ``--help`` shows.
"""

# ruff: noqa: I001
from brittle.cli import trials, pictures, mimic, audit, visibility, calibrate, listing  # noqa: F401
from brittle.cli.app import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line."""
    app()

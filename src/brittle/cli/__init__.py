"""The command line: one short function a command, which calls one of the library's.

The modules register their commands when imported, in the order that ``--help`` shows.
"""

# ruff: noqa: I001
import codecs
import io
import json
import sys

from brittle.cli import trials, bench, pictures, mimic, audit, visibility, calibrate, listing, page  # noqa: F401
from brittle.cli.app import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; what the terminal's code page lacks is written as JSON would."""
    codecs.register_error("brittle-as-json", _as_json)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="brittle-as-json")
    app()


def _as_json(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError), "only output is written like this"
    lacking = error.object[error.start : error.end]
    return json.dumps(lacking)[1:-1], error.end

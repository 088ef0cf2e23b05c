"""The command line: one short function a command; everything heavy is imported inside of them.

The modules register their commands when imported, in the order that ``--help`` shows.
"""

# ruff: noqa: I001
from brittle.cli.app import app
from brittle.cli.trials import demo, run, score, report, compare
from brittle.cli.pictures import edit, protect, transform
from brittle.cli.mimic import mimic_
from brittle.cli.audit import audit_
from brittle.cli.visibility import visibility
from brittle.cli.calibrate import calibrate
from brittle.cli.listing import list_

__all__ = [
    "app",
    "audit_",
    "calibrate",
    "compare",
    "demo",
    "edit",
    "list_",
    "main",
    "mimic_",
    "protect",
    "report",
    "run",
    "score",
    "transform",
    "visibility",
]


def main() -> None:
    """Run the command line."""
    app()

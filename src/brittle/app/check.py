"""Check: an original and its protected file, or folders of them; the audit's own report."""

from pathlib import Path

import brittle
from brittle.app.model import embedded
from brittle.app.running import Running

REPORT = "audit.html"


def check(running: Running, originals: list[Path], protected: list[Path], *, edits: bool) -> None:
    """Audit the files, and show the page that ``brittle audit -o`` writes.

    One file each belong together whatever their names; of more, those that share names.
    """
    single = len(originals) == len(protected) == 1
    pair = [files[0] if single else files[0].parent for files in (originals, protected)]
    brittle.audit(
        *pair,
        models=[embedded()],
        quick=not edits,
        out=running.folder / REPORT,
        say=running.say,
        progress=running.progress,
    )
    running.show(report=f"{running.name}/{REPORT}")

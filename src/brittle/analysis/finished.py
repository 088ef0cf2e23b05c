"""A finished trial: what it left behind, and what was concluded from it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from brittle.analysis.summary import Summary
from brittle.component import first_problem
from brittle.errors import UserError
from brittle.record.arms import ORIGINAL, placebo_label
from brittle.record.manifest import Manifest
from brittle.record.record import Record, read_made
from brittle.record.store import SUMMARY


@dataclass(frozen=True)
class Finished:
    """A trial's record and its summary."""

    record: Record
    summary: Summary

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Read a trial's folder with its ``summary.json``.

        Raises:
            UserError: as `Record.open`; no summary, or one of another schema.
        """
        record, what = Record.open(directory), "has no summary yet"
        try:
            if (directory / SUMMARY).is_file():
                data = read_made(directory, record.manifest, SUMMARY)
                return cls(record, Summary.model_validate_json(data))
        except ValidationError as error:
            place, problem = first_problem(error)
            what = f"has a {SUMMARY} that this brittle does not read"
            what += f" ({place or 'the file'}: {problem})"
        raise UserError(f"{directory} {what}: make it with brittle report {directory}.")

    @property
    def manifest(self) -> Manifest:
        """What the trial says of itself."""
        return self.record.manifest

    @property
    def editor(self) -> str:
        """The editor that the trial is about first of all."""
        return self.summary.primary.editor or next((one.label for one in self.manifest.editors), "")

    @property
    def protections(self) -> list[str]:
        """The protections, those that a verdict is about first."""
        return list(dict.fromkeys([*self.summary.primary.arms, *self.manifest.protections]))

    def compared(self, protection: str) -> dict[str, str]:
        """The arms that a protection is compared with, by kind, and itself as the last."""
        kind = self.summary.placebo.beside(protection)
        placebo = {"placebo": placebo_label(kind, protection)} if kind else {}
        return {"original": ORIGINAL, **placebo, "protection": protection}

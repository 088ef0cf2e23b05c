"""What the report of a trial over collections reads: the folder and its conclusions."""

from pathlib import Path

from brittle.analysis.mimicry_summary import Mimicked, MimicrySummary
from brittle.analysis.table import placebo_arm
from brittle.reporting.source import Folder


class MimicrySource(Folder):
    """The folder of a trial over collections.

    Raises:
        UserError: as `Folder`; no summary.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.summary = self.conclusions(MimicrySummary)
        self.pictures = {
            (row.image, row.arm, row.transform, row.editor, row.prompt, row.seed): row
            for row in self.rows
        }

    @property
    def protections(self) -> list[str]:
        """The labels of the protections."""
        return [arm.label for arm in self.arms.values() if arm.kind == "protection"]

    def arms_of(self, protection: str) -> dict[str, str]:
        """The arms that a protection is compared with, itself the last, by kind."""
        kind = self.summary.placebo
        placebo = {"placebo": placebo_arm(kind, protection)} if kind else {}
        return {"original": "original", **placebo, "protection": protection}

    def results(self, protection: str) -> list[Mimicked]:
        """A protection's results in the primary metric, by transform."""
        metric = self.summary.metric
        return [
            one for one in self.summary.results if (one.arm, one.metric) == (protection, metric)
        ]

    def members(self, collection: str) -> list[str]:
        """The names of a collection's pictures."""
        described = {one["name"]: one["pictures"] for one in self._entries("collections", "name")}
        return [str(picture) for picture in described.get(collection, [])]

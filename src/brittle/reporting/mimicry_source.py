"""What the report of a trial over collections is made of: the record and its conclusions."""

from dataclasses import dataclass

from brittle.analysis.mimicry_summary import Mimicked, MimicrySummary
from brittle.record.arms import ORIGINAL, placebo_label
from brittle.record.record import Record


@dataclass(frozen=True)
class FinishedMimicry:
    """A finished trial over collections."""

    record: Record
    summary: MimicrySummary

    @property
    def transforms(self) -> list[str]:
        """The transforms, in order."""
        return [one.label for one in self.record.manifest.transforms]

    def arms_of(self, protection: str) -> dict[str, str]:
        """The arms that a protection is compared with, itself the last, by kind."""
        kind = self.summary.placebo
        placebo = {"placebo": placebo_label(kind, protection)} if kind else {}
        return {"original": ORIGINAL, **placebo, "protection": protection}

    def results(self, protection: str) -> list[Mimicked]:
        """A protection's results in the primary metric, by transform."""
        metric = self.summary.metric
        return [
            one for one in self.summary.results if (one.arm, one.metric) == (protection, metric)
        ]

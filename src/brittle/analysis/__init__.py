"""From scores to statements: effects, intervals over photos, verdicts and flags."""

from brittle.analysis.checks import Evidence, ProtectedFile
from brittle.analysis.power import plan_photos
from brittle.analysis.summarise import summarise
from brittle.analysis.summary import Interval, Scope, Summary
from brittle.record.rows import Row, format_results, parse_results, read_results

__all__ = [
    "Evidence",
    "Interval",
    "ProtectedFile",
    "Row",
    "Scope",
    "Summary",
    "format_results",
    "parse_results",
    "plan_photos",
    "read_results",
    "summarise",
]

"""From scores to statements: effects, intervals over photos, verdicts and flags."""

from brittle.inference.checks import Evidence, ProtectedFile
from brittle.inference.power import plan_photos
from brittle.inference.summarise import summarise
from brittle.inference.summary import Interval, Scope, Summary
from brittle.trial.rows import Row, format_results, parse_results, read_results

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

"""From scores to statements: effects, intervals over photos, verdicts and flags."""

from brittle.analysis.evidence import Evidence, ProtectedFile
from brittle.analysis.power import plan_photos
from brittle.analysis.summarise import summarise
from brittle.analysis.summary import Interval, Scope, Summary

__all__ = [
    "Evidence",
    "Interval",
    "ProtectedFile",
    "Scope",
    "Summary",
    "plan_photos",
    "summarise",
]

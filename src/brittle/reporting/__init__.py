"""The report: one HTML file, and its answer as text, of a finished trial."""

from brittle.reporting.build import build_report
from brittle.reporting.terminal import answer, check_words

__all__ = ["answer", "build_report", "check_words"]

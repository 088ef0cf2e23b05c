"""The report: one HTML file, and its answer as text, of a finished trial."""

from brittle.reporting.build import answer, build_report

__all__ = ["answer", "build_report"]

"""The report: one HTML file, built from a trial's folder alone."""

from brittle.reporting.build import build_report

__all__ = ["build_report"]

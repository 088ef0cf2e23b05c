"""From scores to statements: effects, intervals over photos, verdicts and flags."""

from brittle.inference.summary import Summary

__all__ = ["Summary"]

"""Budgets: how far a protected image may be from the photo, in memory and on disk."""

from brittle.budgets.l2 import L2Budget
from brittle.budgets.linf import LinfBudget
from brittle.budgets.parsing import BEYOND, STRENGTHS, Budget, read_budget
from brittle.budgets.perceptual import PerceptualBudget

__all__ = [
    "BEYOND",
    "STRENGTHS",
    "Budget",
    "L2Budget",
    "LinfBudget",
    "PerceptualBudget",
    "read_budget",
]

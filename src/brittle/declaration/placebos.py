"""The kinds of placebo that a trial may name."""

from typing import Literal

PlaceboKind = Literal["noise", "noise-spectrum", "noise-local", "transplant"]

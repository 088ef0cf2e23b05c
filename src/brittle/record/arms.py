"""What was done to a photo before release: the labels of arms, and what they say."""

ORIGINAL, GRAY = "original", "gray"


def placebo_parts(arm: str) -> tuple[str, str]:
    """The kind of a placebo, and the arm whose size it has; of another arm, itself and nothing."""
    kind, _, of = arm.partition("(")
    return kind, of.removesuffix(")")

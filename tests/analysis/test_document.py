"""The worked example of docs/inference.md says what `summarise` says of its two tables."""

import re
from pathlib import Path

import pytest

from brittle.analysis.phrases import percent, with_bounds
from brittle.record.rows import Row
from tests.analysis.trials import ARM, JPEG, PLACEBO, summary_of

TEXT = (Path(__file__).parents[2] / "docs" / "inference.md").read_text(encoding="utf-8")
ARMS = {"original": "original", "shield": ARM, "noise": PLACEBO, "gray": "gray"}


def table(first: str) -> list[list[str]]:
    """The table whose first cell is this, without its ruler."""
    lines = TEXT[TEXT.index(f"| {first} |") :].partition("\n\n")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [rows[0], *rows[2:]]


def where(name: str) -> tuple[str, str]:
    arm, _, after = name.partition(", after ")
    return ARMS[arm], JPEG if after else "none"


@pytest.fixture(scope="module")
def summary():
    header, *photos = table("photo")
    rows = [
        Row(photo, *where(name), "img2img", "as a painting", 0, "perceptual.distance", "control",
            float(value))
        for photo, *values in photos
        for name, value in zip(header[1:], values, strict=True)
    ]  # fmt: skip
    header, *arms = table("usable, of 4")
    rows += [
        Row(photo, *where(name), "img2img", "as a painting", seed, "usable", "photo",
            float(seed < int(hits)))
        for name, *values in arms
        for photo, hits in zip(header[1:], values, strict=True)
        for seed in range(4)
    ]  # fmt: skip
    return summary_of(rows)


def test_the_quoted_sentences_are_its_sentences(summary):
    quotes = [
        " ".join(line.removeprefix("> ") for line in block.splitlines())
        for block in re.findall(r"(?:^> .*\n)+", TEXT, re.MULTILINE)
    ]
    assert quotes == [summary.headline.sentence, summary.verdicts[0].sentence]


def test_the_quoted_bounds_are_its_bounds(summary):
    claims = {claim.name: claim.interval for claim in summary.verdicts[0].claims}
    assert with_bounds(claims["protected"]) in TEXT
    assert with_bounds(claims["room lost"], as_percent=True) in TEXT
    for name in ("untestable", "open", "few usable", "harder"):
        interval = claims[name]
        low, high = percent(interval.low), percent(interval.high)
        assert f"{percent(interval.estimate)} [{low}, {high}]" in TEXT, name

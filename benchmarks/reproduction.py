"""The paper's claims as a table of tested comparisons, from the folders of trials.

    python benchmarks/reproduction.py NAME=FOLDER [NAME=FOLDER …] [--write docs/reproduction.md]

FOLDER is a run of trials/reproduction.yaml, trials/reproduction-latents.yaml, or of any trial with
their transforms. Every claim is tested over photos, paired, at 2.5 % a side shared by all claims of
a folder. With --write the tables go into the document between their marks; otherwise they are
printed.
"""

import argparse
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from brittle.analysis import Interval, Summary
from brittle.analysis.effects import Effects
from brittle.analysis.intervals import mean_interval, ratio_interval
from brittle.analysis.phrases import percent, transform_name
from brittle.analysis.table import Table
from brittle.analysis.usable import UsableEdits
from brittle.images import from_png
from brittle.record.rows import read_results
from brittle.transforms import Transform

ALPHA = 0.025
JPEG = [f"jpeg:quality={quality}" for quality in (95, 85, 75, 65)]
REFERENCE = "jpeg:quality=65"
OTHERS = [
    *("gaussian-blur:sigma=0.5", "gaussian-blur:sigma=1", "gaussian-blur:sigma=3"),
    *("median-blur:size=3", "rotate:degrees=5", "rotate:degrees=90", "flip"),
]


@dataclass(frozen=True)
class Claim:
    """One statement of the paper's about a transform, in a form that can be tested."""

    words: str
    test: str
    """``less than half``, ``more than half``, ``more than JPEG 65``, ``less than none``, or
    ``more usable than none``."""
    transform: str


CLAIMS = [
    *(Claim(f"{transform_name(one)} weakens it", "less than none", one) for one in JPEG),
    *(Claim(f"{transform_name(one)} undoes it", "less than half", one) for one in JPEG),
    Claim("JPEG 65 gives usable edits back", "more usable than none", REFERENCE),
    *(Claim(f"{transform_name(one)} does not undo it", "more than half", one) for one in OTHERS),
    *(
        Claim(f"{transform_name(one)} leaves more than JPEG 65", "more than JPEG 65", one)
        for one in OTHERS
    ),
]


class Folder:
    """A trial's folder and what its claims are tested on: all of its photos, or those named."""

    def __init__(self, name: str, path: Path, photos: Collection[str] | None = None) -> None:
        self.name, self.path = name, path
        self.summary = Summary.read(path / "summary.json")
        primary = self.summary.primary
        rows = read_results(path / "results.csv")
        table = Table([row for row in rows if photos is None or row.image in photos])
        self.effects = Effects(table, editor=primary.editor or "", metric=primary.metric)
        self.usable = UsableEdits(table, editor=primary.editor or "")
        self.arm = primary.arms[0]
        known = table.names("transform")
        self.claims = [claim for claim in CLAIMS if claim.transform in known]
        self.alpha = ALPHA / len(self.claims)

    def test(self, claim: Claim) -> str:
        """The claim's finding with the numbers that decide."""
        if claim not in self.claims:
            return "not tried"
        if claim.test.endswith("half"):
            return self._half(claim)
        pair = {
            "less than none": ("none", claim.transform),
            "more than JPEG 65": (claim.transform, REFERENCE),
            "more usable than none": (claim.transform, "none"),
        }[claim.test]
        if claim.test == "more usable than none":
            found = self.usable.difference(self.arm, pair[0], self.arm, pair[1], self.alpha)
            if found is None:
                return "not judged"
            return f"{_direction(found)}: {_bounds(found)} of edits"
        left, right, whole = (
            self.effects.contrast(self.arm, one).effect for one in (*pair, "none")
        )
        # Fieller's interval holds 0 exactly where the difference's own does.
        found = ratio_interval(left - right, whole, self.alpha)
        return "no numbers" if found is None else f"{_direction(found)}: {_bounds(found)}"

    def _half(self, claim: Claim) -> str:
        after, before = self.effects.share_pair(self.arm, claim.transform)
        more = 1 if claim.test == "more than half" else -1
        found = mean_interval(more * (after - before / 2), self.alpha)
        left = ratio_interval(after, before, self.alpha)
        if found is None or left is None:
            return "no numbers"
        return f"{_direction(found)}: {_bounds(left)} left"

    def perturbation(self, transform: str) -> tuple[str, str]:
        """What a transform leaves of the perturbation d, e = T(x + d) - T(x) moved back, in %.

        Its energy |e|² / |d|², and how much of d itself is in it, <e, d> / |d|²: a codec also puts
        its own rounding there, which is energy and no perturbation.
        """
        undo = Transform.parse(transform).geometry.undo
        received: dict[tuple[str, str, str], Path] = {}
        for cell in json.loads((self.path / "index.json").read_text(encoding="utf-8")):
            received[cell["image"], cell["arm"], cell["transform"]] = self.path / cell["received"]
        energy, itself = [], []
        for photo in self.summary.photos:
            after, before = (
                from_png(received[photo, self.arm, one].read_bytes())
                - from_png(received[photo, "original", one].read_bytes())
                for one in (transform, "none")
            )
            after, before = undo(after).double(), before.double()
            power = float(before.square().sum())
            energy.append(float(after.square().sum()) / power)
            itself.append(float((after * before).sum()) / power)
        return percent(float(np.mean(energy))), percent(float(np.mean(itself)))

    def left(self, transform: str) -> str:
        """The share of the effect that is left, with its 95 % interval."""
        after, before = self.effects.share_pair(self.arm, transform)
        found = ratio_interval(after, before, ALPHA)
        return "–" if found is None else _bounds(found)


def _direction(found: Interval) -> str:
    if found.low is not None and found.low > 0:
        return "**same direction**"
    if found.high is not None and found.high < 0:
        return "**opposite**"
    return "not settled"


def _bounds(found: Interval) -> str:
    if found.low is None or found.high is None:
        return f"{percent(found.estimate)} % [{found.note}]"
    return f"{percent(found.estimate)} % [{percent(found.low)}, {percent(found.high)}]"


def claims_table(folders: list[Folder]) -> str:
    """Claims down, folders across."""
    heads = [f"{one.name}, n = {one.summary.n_photos}" for one in folders]
    lines = [f"| the paper says | tested as | {' | '.join(heads)} |"]
    lines.append("|---" * (2 + len(folders)) + "|")
    tests = {
        "less than none": "effect without it − effect after it > 0",
        "less than half": "less than half of the effect is left",
        "more than half": "more than half of the effect is left",
        "more than JPEG 65": "effect after it − effect after JPEG 65 > 0",
        "more usable than none": "usable edits after it − without it > 0",
    }
    for claim in CLAIMS:
        cells = " | ".join(one.test(claim) for one in folders)
        lines.append(f"| {claim.words} | {tests[claim.test]} | {cells} |")
    return "\n".join(lines) + "\n"


def why_table(folders: list[Folder]) -> str:
    """Transforms down: what is left of the perturbation and of its effect, of each folder."""
    parts = ("energy", "of itself", "effect")
    heads = [f"{one.name}: {part}, %" for one in folders for part in parts]
    lines = [f"| transform | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    for transform in [*JPEG, "jpeg:quality=30", *OTHERS]:
        cells = []
        for one in folders:
            there = transform in one.effects.table.names("transform")
            cells += (*one.perturbation(transform), one.left(transform)) if there else ["–"] * 3
        lines.append(f"| {transform_name(transform)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the tables, or write them into a document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    named = [text.partition("=") for text in options.folders]
    folders = [Folder(name, Path(path)) for name, _, path in named]
    tables = {"claims": claims_table(folders), "why": why_table(folders)}
    if options.write is None:
        print("\n".join(tables.values()))
        return
    write_tables(options.write, tables)


def write_tables(document: Path, tables: dict[str, str]) -> None:
    """Put each table behind its mark in a document, in the place of what stands there."""
    text = document.read_text(encoding="utf-8")
    for mark, table in tables.items():
        between = re.compile(rf"(<!-- {re.escape(mark)} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = between.sub(lambda found, table=table: found[1] + table + found[2], text)
    document.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

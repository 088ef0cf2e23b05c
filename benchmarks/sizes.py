"""How much of a protection JPEG leaves by the size of the picture, from the folders of trials.

    python benchmarks/sizes.py edits 128=edits-128 256=edits-256 512=edits-512 \
        [--write docs/reproduction.md]

Each folder is a run of trials/reproduction.yaml or trials/reproduction-latents.yaml with `--set
square=SIDE --set size=SIDE`; the photos that all of them have count. For each JPEG: the share of
the effect that is left at each size (ratio of means, Fieller, 95 %), and how much more that is at
the largest size than at each other one, paired by photo (jackknife over photos, t, 95 %). The word
before the folders is the mark in the document between which --write puts the table.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brittle.analysis import Interval, Summary
from brittle.analysis.intervals import mean_interval
from brittle.analysis.phrases import transform_name
from brittle.reporting.formatting import estimated
from reproduction import ALPHA, JPEG, Folder, write_tables

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Each photo's effect after a transform and without one."""


def difference(one: Pair, other: Pair) -> Interval | None:
    """The share that is left in one less that in the other, paired by photo."""

    def shares(rows: NDArray[np.bool_] | slice) -> float:
        (after, before), (after_other, before_other) = one, other
        left = after[rows].sum() / before[rows].sum()
        return float(left - after_other[rows].sum() / before_other[rows].sum())

    n = len(one[0])
    whole = shares(slice(None))
    without = np.array([shares(np.arange(n) != at) for at in range(n)])
    return mean_interval(n * whole - (n - 1) * without, ALPHA)


def table(folders: dict[int, Folder]) -> str:
    """JPEG down, sizes across, then the differences to the largest."""
    *smaller, largest = sorted(folders)
    heads = [f"{size} px" for size in (*smaller, largest)]
    heads += [f"{largest} px less {size} px" for size in smaller]
    lines = [
        f"| transform, n = {len(folders[largest].effects.table.units)} | {' | '.join(heads)} |"
    ]
    lines.append("|---" * (1 + len(heads)) + "|")
    ordered = [folders[size] for size in (*smaller, largest)]
    cells = [estimated(one.effects.reach(one.arm, "none", ALPHA)) for one in ordered]
    lines.append(f"| reach, no transform | {' | '.join(cells + ['–'] * len(smaller))} |")
    for transform in JPEG:
        pairs = {size: one.effects.share_pair(one.arm, transform) for size, one in folders.items()}
        cells = [one.left(transform) for one in ordered]
        apart = [difference(pairs[largest], pairs[size]) for size in smaller]
        cells += [estimated(one, per_hundred=True) for one in apart]
        lines.append(f"| {transform_name(transform)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the table, or write it into a document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mark")
    parser.add_argument("folders", nargs="+", metavar="SIDE=FOLDER")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    named = {int(side): Path(path) for side, path in (one.split("=", 1) for one in options.folders)}
    photos = [Summary.read(path / "summary.json").photos for path in named.values()]
    common = set(photos[0]).intersection(*photos[1:])
    made = table({side: Folder(f"{side} px", path, common) for side, path in named.items()})
    if options.write is None:
        print(made)
        return
    write_tables(options.write, {options.mark: made})


if __name__ == "__main__":
    main()

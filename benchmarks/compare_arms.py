"""Two protections of a trial against each other, paired by photo, from its folder alone.

    python benchmarks/compare_arms.py DIR --factor 2 --pair 1 2 --pair 1 4

A pair is two of the trial's protections, by their order in it. Printed for each transform: the
effect of each (less the placebo's, as the trial defines it) and the contrast second - factor ×
first with its one-sided 97.5 % bounds, t over photos.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from brittle.analysis.intervals import mean_bounds


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--factor", type=float, default=2.0)
    parser.add_argument("--metric", default="perceptual")
    parser.add_argument("--pair", type=int, nargs=2, action="append", help="by default 1 2")
    options = parser.parse_args()
    summary, manifest = (
        json.loads((options.directory / f"{name}.json").read_text())
        for name in ("summary", "manifest")
    )
    found = {
        (one["arm"], one["transform"]): one["per_photo"]
        for one in summary["effects"]
        if one["metric"] == options.metric
    }
    arms = [one["label"] for one in manifest["arms"] if one["kind"] == "protection"]
    for places in options.pair or [[1, 2]]:
        print(table(found, *(arms[place - 1] for place in places), options.factor))


def table(
    found: dict[tuple[str, str], dict[str, float]], first: str, second: str, factor: float
) -> str:
    """Both arms' effects by transform and their contrast, from ``found`` by arm and transform."""
    lines = [
        f"first: {first}",
        f"second: {second}",
        f"| transform | first | second | second - {factor:g} first | n |",
        "|---|---|---|---|---|",
    ]
    for transform in dict.fromkeys(transform for _, transform in found):
        one, other = found[first, transform], found[second, transform]
        names = sorted(set(one) & set(other))
        a, b = (np.array([values[name] for name in names]) for values in (one, other))
        mean, low, high = mean_bounds(b - factor * a, 0.025)
        lines.append(
            f"| {transform} | {a.mean():.3f} | {b.mean():.3f} "
            f"| {mean:+.3f} [{low:+.3f}, {high:+.3f}] | {len(names)} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""Two protections of a trial against each other, paired by photo, from its summary alone.

    python benchmarks/compare_arms.py DIR --factor 2

The trial has two protections, the plain one first. Printed for each transform: the effect of each
(less the placebo's, as the trial defines it) and the contrast second - factor × first with its
one-sided 97.5 % bounds, t over photos.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from brittle.inference.intervals import mean_bounds


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--factor", type=float, default=2.0)
    parser.add_argument("--metric", default="perceptual")
    options = parser.parse_args()
    summary = json.loads((options.directory / "summary.json").read_text())
    found = {
        (one["arm"], one["transform"]): one["per_photo"]
        for one in summary["effects"]
        if one["metric"] == options.metric
    }
    first, second = dict.fromkeys(arm for arm, _ in found)
    print(f"first: {first}\nsecond: {second}")
    print(f"| transform | first | second | second - {options.factor:g} first | n |")
    print("|---|---|---|---|---|")
    for transform in dict.fromkeys(transform for _, transform in found):
        one, other = found[first, transform], found[second, transform]
        names = sorted(set(one) & set(other))
        a, b = (np.array([values[name] for name in names]) for values in (one, other))
        mean, low, high = mean_bounds(b - options.factor * a, 0.025)
        print(
            f"| {transform} | {a.mean():.3f} | {b.mean():.3f} "
            f"| {mean:+.3f} [{low:+.3f}, {high:+.3f}] | {len(names)} |"
        )


if __name__ == "__main__":
    main()

"""Each collection's own effect in a finished trial against mimicry, where intervals lack.

    python benchmarks/by_collection.py OUT [--metric style.distance]

OUT is the folder of a run such as trials/mimicry-field.yaml's, with one kind of noise. Printed for
each protection and transform: by collection, how much farther from the originals the pictures lie
that were generated after protected pictures than those after noise: means over prompts and seeds.
"""

import argparse
from collections import defaultdict
from pathlib import Path
from statistics import mean

from brittle.record.record import Record


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--metric", default="style.distance")
    options = parser.parse_args()
    record = Record.open(options.folder)
    distances = defaultdict(list)
    for row in record.rows:
        if (row.metric, row.reference) == (options.metric, "originals") and row.value is not None:
            distances[row.image, row.arm, row.transform].append(row.value)
    collections = sorted({image for image, _, _ in distances})
    noises = {one.of: one.label for one in record.manifest.arms if one.kind == "placebo"}
    print(f"| protection | transform | {' | '.join(collections)} |")
    print("|---" * (len(collections) + 2) + "|")
    for arm, noise in noises.items():
        for transform in [one.label for one in record.manifest.transforms]:
            effects = (
                mean(distances[name, arm, transform]) - mean(distances[name, noise, transform])
                for name in collections
            )
            cells = " | ".join(f"{effect:+.2f}".replace("-", "−") for effect in effects)
            print(f"| {arm} | {transform} | {cells} |")


if __name__ == "__main__":
    main()

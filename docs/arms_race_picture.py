"""The picture of docs/arms-race.md, from the folders that benchmarks/arms_race.py left.

python docs/arms_race_picture.py arms-race-embedded arms-race-taef2 -o docs/arms-race.png
"""

import argparse
import json
import sys
from pathlib import Path

import matplotlib
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from arms_race import TRANSFORMS, effects
from brittle.analysis.intervals import mean_bounds

matplotlib.use("Agg")
ARMS = {
    "plain gray": ("towards gray, plain", "#a8a8a8"),
    "aware gray": ("towards gray, JPEG 50..95 in the loss", "#4d4d4d"),
    "plain away": ("away, plain", "#eaa27f"),
    "aware away": ("away, JPEG 50..95 in the loss", "#b5361c"),
}
MODELS = {"taef2_encoder": "TAEF2"}
SHORT = {
    "none": "none",
    "jpeg:quality=75,subsampling=4:4:4": "JPEG 75, 4:4:4",
    "webp:quality=75": "WebP 75",
    "avif:quality=60": "AVIF 60",
    "resize:factor=0.5": "half size and back",
    "gaussian-blur:sigma=1": "blur 1 px",
    "shift:right=3,down=5+jpeg:quality=75": "shifted + JPEG 75",
    "jpeg:quality=75+resize:factor=0.5": "JPEG 75 + half size",
}


def main() -> None:
    """Draw one panel a folder."""
    from matplotlib import pyplot

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    figure, panels = pyplot.subplots(
        len(options.folders), 1, figsize=(9, 3.4 * len(options.folders)), sharex=True, squeeze=False
    )
    for panel, folder in zip(panels[:, 0], options.folders, strict=True):
        results = json.loads((folder / "results.json").read_text())
        for place, (name, (words, colour)) in enumerate(ARMS.items()):
            found = effects(results["photos"], name)
            mean, low, high = np.array([mean_bounds(found[one], 0.025) for one in TRANSFORMS]).T
            panel.errorbar(
                np.arange(len(TRANSFORMS)) + 0.16 * (place - 1.5), mean, [mean - low, high - mean],
                fmt="o", markersize=4, color=colour, label=words, capsize=2,
            )  # fmt: skip
        panel.axhline(0, color="black", linewidth=0.8)
        panel.set_title(
            f"{MODELS.get(results['name'], results['name'])}, {results['side']} px, "
            f"{results['n']} photos",
            loc="left",
        )
        panel.set_ylabel("effect on latents,\nless the placebo's")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0, 0].legend(frameon=False)
    names = [SHORT.get(one, one.replace("jpeg:quality=", "JPEG ")) for one in TRANSFORMS]
    panels[-1, 0].set_xticks(range(len(names)), names, rotation=40, ha="right")
    figure.tight_layout()
    figure.savefig(options.out, dpi=110)


if __name__ == "__main__":
    main()

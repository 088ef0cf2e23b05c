"""The picture of docs/encoders.md, from the folder that benchmarks/encoders.py left.

python docs/encoders_picture.py OUT -o docs/encoders.png
"""

import argparse
import json
import sys
from pathlib import Path

import matplotlib
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from brittle.analysis.intervals import fieller_bounds
from encoders import ALPHA, AWARE, EVERYWHERE, MODELS, PLAIN, TRANSFORMS, Cell

matplotlib.use("Agg")
FILES = {
    PLAIN + " {}": ("photoguard-encoder on this encoder", "#8c8c8c"),
    AWARE + " {}": ("encoder-away-jpeg on this encoder", "#eaa27f"),
    EVERYWHERE: ("encoder-away-everywhere", "#b5361c"),
}
NAMES = {
    "none": "none",
    "resize:factor=0.5": "half size",
    "gaussian-blur:sigma=1": "blur 1 px",
}
TITLES = {
    "embedded": "embedded",
    "sd1": "sd1 (SD 1.x and 2.x)",
    "sdxl": "sdxl (SDXL)",
    "sd3": "sd3 (SD 3)",
    "flux1": "flux1 (FLUX.1)",
    "flux2": "flux2 (FLUX.2)",
}


def main() -> None:
    """Draw one panel an encoder."""
    from matplotlib import pyplot

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    photos = [json.loads(one.read_text()) for one in sorted(options.folder.glob("results/*.json"))]
    figure, panels = pyplot.subplots(2, 3, figsize=(11, 6.6), sharex=True, sharey="row")
    for panel, model in zip(panels.flat, MODELS, strict=True):
        for place, (name, (words, colour)) in enumerate(FILES.items()):
            cells = [Cell(photos, one, model, name.format(model)) for one in TRANSFORMS]
            reach, low, high = np.array(
                [fieller_bounds(one.effect, one.room, ALPHA) for one in cells]
            ).T
            panel.errorbar(
                np.arange(len(TRANSFORMS)) + 0.2 * (place - 1), reach, [reach - low, high - reach],
                fmt="o", markersize=4, color=colour, label=words, capsize=2,
            )  # fmt: skip
        panel.axhline(0, color="black", linewidth=0.8)
        panel.set_title(TITLES[model], loc="left")
        panel.spines[["top", "right"]].set_visible(False)
    names = [NAMES.get(one, one.replace("jpeg:quality=", "JPEG ")) for one in TRANSFORMS]
    for panel in panels[-1]:
        panel.set_xticks(range(len(names)), names, rotation=45, ha="right")
    for panel in panels[:, 0]:
        panel.set_ylabel("reach: beyond noise,\nof what gray does")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, ncols=3, loc="upper center")
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    figure.savefig(options.out, dpi=110)


if __name__ == "__main__":
    main()

"""Writes ``calibration.json``: above which scores an edit counts as usable, and whether that holds.

    python -m training.calibrate --config training/config.yaml

Edits of validation photos that no other measurement uses, with the recommended settings; one
prompt a look. The thresholds are the 10th percentiles of `follow` (by look) and `keep`.
"""

from __future__ import annotations

from brittle.editors.img2img import Img2Img
from brittle.metrics.usable import CALIBRATION, Calibration, calibrate
from brittle.models import load_model
from brittle.models.looks import LOOKS
from training.config import Config, from_command_line
from training.data import load_photos
from training.evaluate import BATCH, pictures


def write_calibration(config: Config) -> Calibration:
    """Measures the thresholds of the exported model and writes them into its directory."""
    model = load_model(str(config.export))
    chosen = load_photos(config.photos, "validation")[2::5][: config.evaluate.calibration]
    editor = Img2Img()
    found = calibrate(
        lambda image, prompts, seeds: editor.edit(model, image, prompts=prompts, seeds=seeds),
        model,
        pictures(chosen),
        list(LOOKS),
        seed=config.seed % 100_000,
        source=f"validation photos 2, 7, 12, ... of {config.photos.name}: {len(chosen)}",
        batch=BATCH,
    )
    found.save(config.export / CALIBRATION)
    return found


if __name__ == "__main__":
    print(write_calibration(from_command_line(__doc__ or "")).model_dump_json(indent=1))

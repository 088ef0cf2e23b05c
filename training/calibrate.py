"""Writes ``calibration.json``: above which scores an edit counts as usable, and whether that holds.

    python -m training.calibrate --config training/config.yaml

Edits of validation photos that no other measurement uses, by img2img and by inpainting (of the
centre ellipse) with the recommended settings; one prompt a look. The thresholds are the 10th
percentiles of `follow` (by look) and `keep`, for each editor its own.
"""

from __future__ import annotations

from brittle.editors import Img2Img, Inpaint
from brittle.images import ellipse_mask, quantise
from brittle.metrics import Calibration
from brittle.metrics.calibration import CALIBRATION
from brittle.models import load_model
from brittle.trial.calibration import CalibrationPhotos, calibrate_model, describe
from training.config import Config, from_command_line
from training.data import load_photos
from training.evaluate import BATCH, pictures


def write_calibration(config: Config) -> Calibration:
    """Measures the thresholds of the exported model and writes them into its directory."""
    chosen = load_photos(config.photos, "validation")[2::5][: config.evaluate.calibration]
    images = quantise(pictures(chosen))
    photos = CalibrationPhotos(
        images=images,
        masks=ellipse_mask(images).expand(len(images), -1, -1, -1),
        mask="auto",
        source=f"validation photos 2, 7, 12, ... of {config.photos.name}: {len(chosen)}",
    )
    found = calibrate_model(
        load_model(str(config.export)), [Img2Img(), Inpaint()], photos, batch=BATCH
    )
    found.save(config.export / CALIBRATION)
    return found


if __name__ == "__main__":
    for thresholds in write_calibration(from_command_line(__doc__ or "")).thresholds:
        print(describe(thresholds))

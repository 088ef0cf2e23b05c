"""Writes ``calibration.json``: above which scores an edit counts as usable, and whether that holds.

    python -m training.calibrate --set calibration.photos=FOLDER

Edits of photos that no other measurement uses, at each size, by img2img and by inpainting (of the
centre ellipse), or by the second editor (``--set evaluate.editor=instruct``), with the recommended
settings; one prompt a look. The thresholds are the 10th
percentiles of `follow` (by look) and `keep`, for each size and editor their own. Each is kept in
the working folder once it is measured, so that several processes may share the work
(``--set calibration.sizes=[256]``).
"""

from __future__ import annotations

from brittle.editors import Editor, Img2Img, Inpaint, Instruct
from brittle.metrics import Calibration
from brittle.metrics.thresholds import CALIBRATION
from brittle.networks.prompt_classes import PROMPT_CLASSES
from brittle.trial.calibrating import calibrate_model, describe, read_photos
from training.config import Config, from_command_line
from training.evaluate import batch_at, exported, load_exported

INPAINTED_AT = 256
"""px: above, inpainting is asked only for the looks whose thresholds are valid at this size."""


def write_calibration(config: Config) -> Calibration:
    """Measures what is missing, and writes all that there is into the exported directory."""
    folder = config.work / "calibration"
    folder.mkdir(parents=True, exist_ok=True)
    second = config.evaluate.editor == Instruct.name
    editors: tuple[Editor, ...] = (Instruct(),) if second else (Img2Img(), Inpaint())
    for size in config.calibration.sizes:
        for editor in editors:
            file = folder / f"{editor.name}-{size}.json"
            if not file.exists():
                looks = looks_asked(config, editor, size)
                measure(config, editor, size, looks).save(file)
    files = [file for editor in editors for file in folder.glob(f"{editor.name}-*.json")]
    kept = [Calibration.load(file) for file in files]
    found = Calibration.together(kept)
    in_order = sorted(found.thresholds, key=lambda one: (one.editor, one.size))
    found = found.model_copy(update={"thresholds": tuple(in_order)})
    found.save(exported(config) / CALIBRATION)
    return found


def looks_asked(config: Config, editor: Editor, size: int) -> list[str]:
    """All looks; of inpainting, an edit of which costs five times as much, not all at 512 px."""
    if not editor.needs_mask or size <= INPAINTED_AT:
        return list(PROMPT_CLASSES)
    measured = config.work / "calibration" / f"{editor.name}-{INPAINTED_AT}.json"
    if not measured.exists():
        raise FileNotFoundError(f"{measured} is missing: calibrate at {INPAINTED_AT} px first.")
    (smaller,) = Calibration.load(measured).thresholds
    return [look for look in smaller.tau_follow if not smaller.why_not(look)]


def measure(config: Config, editor: Editor, size: int, looks: list[str]) -> Calibration:
    """The thresholds of one editor at one size."""
    model = load_exported(config, config.calibration.dtype, size)
    photos = read_photos(str(config.calibration.photos), model, "auto")
    return calibrate_model(model, [editor], photos, looks, batch=batch_at(size))


if __name__ == "__main__":
    for thresholds in write_calibration(from_command_line(__doc__ or "")).thresholds:
        print(describe(thresholds))

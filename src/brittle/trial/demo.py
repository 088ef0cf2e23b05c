"""The demo: the paper's experiment on eight photos and the embedded model, in a few minutes."""

from pathlib import Path

from brittle.declaration.trial import Trial, make_trial
from brittle.models import load_model
from brittle.record.store import Store
from brittle.sources.photos import load_photos
from brittle.trial.cost import count, duration, estimate
from brittle.trial.plan import make_plan

SIZE = 256
"""Long side in px: JPEG acts as at a real editor's 512 px, and an edit costs a quarter."""
START_SECONDS = 25
"""Imports, the report, and whatever else the estimate of the work leaves out."""

QUALITIES = (95, 85, 75, 65, 50, 30, 10)
OTHERS = ("gaussian-blur:sigma=1", "median-blur:size=3", "rotate:degrees=5", "flip")
EXPENDABLE = (
    *("jpeg:quality=50", "jpeg:quality=30", "rotate:degrees=5", "jpeg:quality=10"),
    *("median-blur:size=3", "flip", "gaussian-blur:sigma=1"),
)
"""What a slow machine leaves out, in this order; what carries the verdict stays."""

PAINTED = ("a pencil sketch", "neon lights")
"""Prompts for inpainting, where the calibration is valid for fewer prompt classes."""

FULL = Trial(
    title="The paper's experiment on the embedded model",
    square=SIZE,
    size=SIZE,
    protections=("photoguard-encoder",),
    transforms=("none", *(f"jpeg:quality={quality}" for quality in QUALITIES), *OTHERS),
    prompts=("a sepia photo", "golden hour"),
)


def demo_trial(
    directory: Path,
    photos: Path | None,
    minutes: float,
    editor: str = "img2img",
    size: int = SIZE,
) -> tuple[Trial, list[str]]:
    """The demo's trial, as large as ``minutes`` allow here, and what was left out, in words.

    A folder that holds a demo already keeps the trial that it was begun with.

    Raises:
        UserError: photos that can't be used, a folder that holds something else.
    """
    source = "sample" if photos is None else str(photos)
    changes = {"photos": source, "editors": (editor,), "square": size, "size": size}
    if editor == "inpaint":
        title = f"{FULL.title}, inpainting"
        changes |= {"mask": "auto", "title": title, "prompts": PAINTED}
    trial = full = FULL.model_copy(update=changes)
    found = Store(directory).manifest
    if found is not None and found["title"] == trial.title:
        begun = make_trial(found["trial"]["as_written"], "manifest.json")
        return begun.model_copy(update={"photos": source}), found["notes"]
    read = load_photos(source, square=trial.square, mask=trial.mask)
    model = load_model(trial.model, size=trial.size)
    whole = make_plan(trial, read, model)
    rate = estimate(count(whole, model), whole, model) / count(whole, model).edits
    notes = []
    while True:
        seconds = START_SECONDS + rate * count(make_plan(trial, read, model), model).edits
        smaller = _smaller(trial)
        if seconds <= 60 * minutes or smaller is None:
            break
        trial = smaller
    left_out = [
        *_missing(trial.prompts, full.prompts),
        *_missing(trial.transforms, full.transforms),
    ]
    if left_out:
        notes.append(
            f"To stay near {minutes:g} minutes on this machine, the demo left out "
            f"{', '.join(left_out)}."
        )
    if seconds > 60 * minutes:
        notes.append(f"Even so it will take about {duration(seconds)}.")
    return trial, notes


def _smaller(trial: Trial) -> Trial | None:
    """The trial with one prompt, or one transform, less; None where nothing may go."""
    if len(trial.prompts) > 1:
        return trial.model_copy(update={"prompts": trial.prompts[:-1]})
    expendable = [transform for transform in EXPENDABLE if transform in trial.transforms]
    if not expendable:
        return None
    kept = tuple(transform for transform in trial.transforms if transform != expendable[0])
    return trial.model_copy(update={"transforms": kept})


def _missing(kept: tuple[str, ...], all_of: tuple[str, ...]) -> list[str]:
    return [one for one in all_of if one not in kept]

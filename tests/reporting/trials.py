"""Finished trials made of rows: manifest, results.csv, index, and the summary drawn from them."""

from pathlib import Path
from typing import Any

from PIL import Image

from brittle.analysis.conclusions import summarise_record
from brittle.declaration.primary import Primary
from brittle.record.record import Record
from brittle.record.rows import format_results
from tests.analysis.trials import ARM, JPEG, PLACEBO, build, trial
from tests.reporting.synthetic import make_manifest, write_json

RATES = {
    ("original", "none"): 0.9, ("original", JPEG): 0.9, (PLACEBO, "none"): 0.9,
    (PLACEBO, JPEG): 0.8, (ARM, "none"): 0.2, (ARM, JPEG): 0.6,
}  # fmt: skip


def make_trial(
    directory: Path,
    *,
    before: float = 0.6,
    after: float = 0.3,
    photos: int = 10,
    digest: str = "same",
    pictures: bool = False,
    **settings: Any,
) -> Path:
    """Write a finished trial of one protection; ``settings`` replace parts of its manifest."""
    rows = build(trial(before, after), photos=photos, usable=RATES, noise=0.1)
    make_trial.rows = rows
    names = sorted({row.image for row in rows})
    manifest = make_manifest(names, ("none", JPEG), ["as a painting"], 24, "A trial")
    manifest["photos"] = [{**one, "digest": f"{digest}-{one['name']}", "source_format": "PNG"}
                          for one in manifest["photos"]]  # fmt: skip
    kinds = {"original": "original", "gray": "ceiling", ARM: "protection", PLACEBO: "placebo"}
    manifest["arms"] = [{"label": arm, "kind": kind} for arm, kind in kinds.items()]
    manifest["editors"] = [{"label": "img2img", "record": {"name": "img2img", "fields": {}}}]
    manifest["primary"] = Primary(transforms=(JPEG,)).model_dump(mode="json")
    directory.mkdir(parents=True)
    write_json(directory / "manifest.json", manifest | settings)
    (directory / "results.csv").write_text(format_results(rows), encoding="utf-8")
    points = sorted({row.key[:6] for row in rows if row.metric == "usable"})
    index = [_entry(directory, number, point) for number, point in enumerate(points)]
    write_json(directory / "index.json", index if pictures else [])
    summary = summarise_record(Record.open(directory))
    (directory / "summary.json").write_text(summary.to_json(), encoding="utf-8")
    return directory


def _entry(directory: Path, number: int, point: tuple[Any, ...]) -> dict[str, Any]:
    """An index entry with an edit of its own colour."""
    path = f"artifacts/00/{number:032}.png"
    (directory / path).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (24, 24), (number % 256, number // 256, 90)).save(directory / path)
    names = ("image", "arm", "transform", "editor", "prompt", "seed")
    return {**dict(zip(names, point, strict=True)), "edited": path}

"""The card's tables, and what calibration asks for, by what is shipped."""

from pathlib import Path

from training.calibrate import looks_asked
from training.tables import table, tables, thresholds

from brittle.editors import Img2Img, Inpaint
from brittle.metrics import Calibration
from brittle.models.loading import EMBEDDED
from brittle.networks.prompt_classes import PROMPT_CLASSES
from tests.training.recipe import small_config


def shipped(editor: str, size: int):
    found = Calibration.load(EMBEDDED).thresholds
    return next(one for one in found if one.editor.startswith(f"{editor}:") and one.size == size)


def test_each_size_has_a_column_and_what_it_lacks_a_dash() -> None:
    found = table("look", {128: {"snow": "1", "fog": "2"}, 512: {"fog": "3", "neon": "4"}})
    assert found.splitlines() == [
        "| look | 128 px | 512 px |",
        "|---|---|---|",
        "| snow | 1 | – |",
        "| fog | 2 | 3 |",
        "| neon | – | 4 |",
    ]


def test_thresholds_that_tell_nothing_apart_are_marked() -> None:
    found = shipped("img2img", 128)
    rows = thresholds("img2img")({"img2img": found.model_dump()})
    marked = {look for look, cell in rows.items() if cell.endswith("**not valid**")}
    assert marked == {look for look in PROMPT_CLASSES if found.why_not(look)}
    assert 0 < len(marked) < len(PROMPT_CLASSES)
    assert thresholds("inpaint")({"img2img": found.model_dump()}) == {}


def test_a_bar_is_judged_at_each_size() -> None:
    def one(distance: float) -> dict:
        return {"nonsense": {"n": 8, "nonsense": distance, "seed to seed": 1.0}}

    lines = tables({128: one(2.0), 512: one(0.5)}).splitlines()
    assert lines[2].endswith("| 2.000 against 1.000: **no** | 0.500 against 1.000: yes |")
    assert "| nonsense | 2.000 | 0.500 |" in lines


def test_inpainting_at_512_px_is_asked_for_what_is_valid_at_256(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    folder = config.work / "calibration"
    folder.mkdir(parents=True)
    found = Calibration.load(EMBEDDED)
    one = shipped("inpaint", 256)
    found.model_copy(update={"thresholds": (one,)}).save(folder / "inpaint-256.json")
    valid = [look for look in PROMPT_CLASSES if not one.why_not(look)]
    assert sorted(looks_asked(config, Inpaint(), 512)) == sorted(valid)
    assert looks_asked(config, Inpaint(), 256) == list(PROMPT_CLASSES)
    assert looks_asked(config, Img2Img(), 512) == list(PROMPT_CLASSES)

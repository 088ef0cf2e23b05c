"""The trials that come with the repository can be read, and name components that exist."""

from pathlib import Path

import pytest

from brittle.editors import Editor
from brittle.protections import Protection
from brittle.transforms import Transform
from brittle.trial.spec import load_trial

TRIALS = sorted((Path(__file__).parents[2] / "trials").glob("*.yaml"))


@pytest.mark.parametrize("path", TRIALS, ids=lambda path: path.stem)
def test_a_ready_trial_can_be_read(path) -> None:
    trial = load_trial(path)
    for base, texts in (
        (Protection, trial.protections),
        (Transform, trial.transforms),
        (Editor, trial.editors),
    ):
        for text in texts:
            assert base.read(text)


def test_the_adaptive_attacker_is_declared() -> None:
    trial = load_trial(TRIALS[0].with_stem("adaptive"))
    assert "published file alone" in trial.threat_model
    assert any("DiffPure" in one for one in trial.not_tried)
    purifiers = {one.partition(":")[0] for one in trial.transforms}
    assert {"denoise", "autoencode", "impress", "bilateral", "shift", "webp"} <= purifiers


def test_the_arms_race_is_run_at_one_distance() -> None:
    plain, aware = map(Protection.read, load_trial(TRIALS[1].with_stem("arms-race")).protections)
    assert plain.budget == aware.budget
    assert plain.budget.norm == "perceptual"
    assert plain == aware.model_copy(update={"expectation": ()})

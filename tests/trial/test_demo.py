from pathlib import Path

import pytest

from brittle.declaration.trial import load_trial
from brittle.trial import demo

TRIALS = Path(__file__).parents[2] / "trials"


def test_the_demos_trial_is_the_one_that_is_written_down():
    assert load_trial(TRIALS / "demo.yaml") == demo.FULL


@pytest.mark.parametrize("path", sorted(TRIALS.glob("*.yaml")), ids=lambda path: path.stem)
def test_ready_trials_are_valid(path):
    trial = load_trial(path)
    assert set(trial.primary.transforms) <= set(trial.transforms)


def test_a_slow_machine_leaves_out_prompts_then_transforms_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "estimate", lambda cost, plan, model: cost.edits * 0.8)
    trial, notes = demo.demo_trial(tmp_path / "new", None, 6)
    assert trial.prompts == demo.FULL.prompts[:1]
    assert set(trial.transforms) < set(demo.FULL.transforms)
    assert set(demo.FULL.primary.transforms) <= set(trial.transforms)
    (note,) = notes
    assert "left out golden hour" in note


def test_a_very_slow_machine_is_told_the_time(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "estimate", lambda cost, plan, model: cost.edits * 10)
    trial, notes = demo.demo_trial(tmp_path / "new", None, 6)
    assert set(trial.transforms) == {"none", *demo.FULL.primary.transforms}
    assert "Even so it will take about" in notes[-1]


def test_a_fast_machine_runs_all_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "estimate", lambda cost, plan, model: cost.edits * 0.01)
    assert demo.demo_trial(tmp_path / "new", None, 6) == (demo.FULL, [])

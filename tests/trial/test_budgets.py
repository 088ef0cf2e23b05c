import csv

import pytest
from skimage import data

from brittle.analysis.summary import Summary
from brittle.declaration.trial import Trial, make_trial
from brittle.errors import UserError
from brittle.images import from_bytes, write_image

BUDGETS = ["4/255", "8/255", "12/255", "16/255"]
# A step reaches the edge of every budget.
GRAY, ZERO = "encoder:steps=2,step_size=0.08", "encoder:steps=2,step_size=0.08,target=zero"


def trial(**changes):
    fields = {
        "protections": [GRAY, ZERO],
        "budgets": BUDGETS,
        "placebos": ["noise"],
        "transforms": ["none", "jpeg:quality=75"],
        "prompts": ["a sepia photo"],
        "floor_seeds": [],
        "metrics": ["perceptual", "psnr"],
        "editors": ["none"],
        "square": 64,
    }
    return make_trial(fields | changes, "trial.yaml")


def test_every_protection_runs_at_every_budget():
    arms = trial().arms
    assert f"{GRAY},budget=4/255" in arms
    assert f"noise({ZERO},budget=16/255)" in arms
    assert len(arms) == 2 + 2 * 4 * 2
    assert Trial.model_validate(trial().model_dump(exclude_unset=True)) == trial()


def test_a_budget_is_named_once():
    with pytest.raises(UserError, match="name either"):
        trial(protections=["encoder:budget=8/255"])


def test_a_trial_says_what_its_published_files_cost_the_eye(tmp_path):
    from brittle.api import run_trial

    folder = tmp_path / "photos"
    folder.mkdir()
    write_image(folder / "cat.png", from_bytes(data.chelsea()[None, :256:4, :256:4]))
    run_trial(trial(photos=str(folder)), tmp_path / "out")
    fair = Summary.read(tmp_path / "out" / "summary.json").fair
    assert set(fair.protections) == {GRAY, ZERO}
    assert fair.protections[GRAY] == tuple(BUDGETS)
    assert set(fair.rulers) <= {"perceptual", "psnr"}
    with (tmp_path / "out" / "results.csv").open() as file:
        cost = {
            (row["arm"], row["metric"]): float(row["value"])
            for row in csv.DictReader(file)
            if row["reference"] == "release"
        }
    for arm in (GRAY, ZERO):
        for metric in ("perceptual.distance", "psnr.distance"):
            costs = [cost[f"{arm},budget={budget}", metric] for budget in BUDGETS]
            assert 0 < 2 * costs[0] < costs[-1]  # the budget is four times as large
            assert costs == sorted(costs)
    assert 'id="distortion"' in (tmp_path / "out" / "report.html").read_text()

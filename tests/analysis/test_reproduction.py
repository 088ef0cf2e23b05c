"""The table of the paper's claims says what is true of made-up trials with a known truth."""

from pathlib import Path

import pytest

from brittle.declaration.primary import Primary
from brittle.declaration.trial import load_trial
from brittle.record.rows import format_results
from tests.analysis.trials import ARM, PLACEBO, build, summary_of

import reproduction  # isort: skip  (benchmarks/, put on the path by tests/conftest.py)

TRIALS = Path(__file__).parents[2] / "trials"
LEFT = {"none": 1.0, "jpeg:quality=85": 0.3, "jpeg:quality=65": 0.05, "flip": 0.9,
        "gaussian-blur:sigma=1": 0.2, "median-blur:size=3": 0.5}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("trial")
    distances = {}
    for transform, left in LEFT.items():
        distances[ARM, transform] = 0.1 + 0.5 * left
        distances[PLACEBO, transform] = 0.1
        distances["gray", transform] = 1.0
    usable = {("original", "none"): 0.9, (ARM, "none"): 0.1, (ARM, "jpeg:quality=65"): 0.9}
    rows = build(distances, photos=32, usable=usable)
    primary = Primary(transforms=("jpeg:quality=85", "jpeg:quality=65"))
    (path / "results.csv").write_text(format_results(rows))
    (path / "summary.json").write_text(summary_of(rows, primary=primary).to_json())
    return reproduction.Folder("made up", path)


@pytest.mark.parametrize(
    ("test", "transform", "expected"),
    [
        ("less than none", "jpeg:quality=85", "**same direction**: 70 %"),
        ("less than half", "jpeg:quality=65", "**same direction**: 5 %"),
        ("more usable than none", "jpeg:quality=65", "**same direction**: 80 %"),
        ("more than half", "flip", "**same direction**: 90 %"),
        ("more than half", "gaussian-blur:sigma=1", "**opposite**: 20 %"),
        ("more than half", "median-blur:size=3", "not settled: 5"),
        ("more than JPEG 65", "gaussian-blur:sigma=1", "**same direction**: 1"),
        ("more than half", "rotate:degrees=5", "not tried"),
    ],
)
def test_each_claim_is_tested_in_its_direction(folder, test, transform, expected):
    (claim,) = [
        one for one in reproduction.CLAIMS if (one.test, one.transform) == (test, transform)
    ]
    assert folder.test(claim).startswith(expected)


def test_the_table_has_every_claim_and_how_many_photos(folder):
    head, _, *lines = reproduction.claims_table([folder]).splitlines()
    assert "made up, n = 32" in head
    assert len(lines) == len(reproduction.CLAIMS)


@pytest.mark.parametrize("name", ["reproduction", "reproduction-latents", "paper-jpeg"])
def test_the_ready_trials_have_what_the_claims_are_about(name):
    tried = set(load_trial(TRIALS / f"{name}.yaml").transforms)
    claimed = {claim.transform for claim in reproduction.CLAIMS}
    blurs = {transform for transform in claimed if "blur" in transform}
    assert claimed - blurs <= tried
    assert len(blurs & tried) >= 2

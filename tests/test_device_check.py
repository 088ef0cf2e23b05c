"""What is judged of a GPU by `benchmarks/device_check.py`, and its sections on this CPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from device_check import judged  # isort: skip  (benchmarks/, put on the path by tests/conftest.py)

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_an_aim_is_true_false_or_was_not_measured():
    assert set(judged({}).values()) == {None}
    found = {
        "environment": {"tiny": False},
        "encoder_attack": {"4 photos": {"ratio": 1.2, "photo_steps_per_s": 50.0}},
        "edits": {"error": "no kernel"},
        "chain_attack": {
            "4 evaluations": {"peak_gib": 10.0},
            "50 evaluations": {"peak_gib": 11.0},
        },
        "out_of_memory": {"batch": 4},
        "trial": {"differ": 1},
    }
    said = judged(found)
    assert [name for name, holds in said.items() if holds is False] == [
        "encoder attack within 1.05 of bare passes",
        "a trial resumes to the same bytes",
    ]
    assert [name for name, holds in said.items() if holds] == [
        "encoder attack at three times the notebook's speed",
        "50 evaluations in less than 24 GiB",
        "50 evaluations in 1.15 times the memory of 4",
        "out of memory halves the batch",
    ]
    small = judged({**found, "environment": {"tiny": True}})
    assert small["encoder attack within 1.05 of bare passes"] is None


@pytest.mark.slow
def test_every_section_runs_small_on_a_cpu(tmp_path):
    out = tmp_path / "found.json"
    script = BENCHMARKS / "device_check.py"
    command = [sys.executable, str(script), "--tiny", "--device", "cpu", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    found = json.loads(out.read_text())
    assert done.returncode == 0, found
    assert not [name for name, one in found.items() if "error" in one]

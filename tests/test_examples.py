import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NEEDS_A_GPU = "stable_diffusion"


def code(notebook: Path) -> str:
    """The notebook's cells of code, in their order."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(one["source"]) for one in cells if one["cell_type"] == "code")


def run(*arguments: str) -> str:
    """What Python says on its error stream."""
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "MPLBACKEND": "Agg"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    return done.stderr


@pytest.mark.parametrize("example", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_examples_run(example):
    assert run(str(example)) == ""


@pytest.fixture
def shards(tmp_path):
    """Runs a command with a stand-in for brittle, and says what brittle was asked for."""
    stand_in = tmp_path / "brittle"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stand_in.chmod(0o755)

    def asked(command: list[str], **variables: str) -> list[str]:
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, **variables}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        return done.stdout.splitlines()

    return asked


def test_a_task_of_slurm_runs_its_shard(shards):
    script = str(FOLDER / "clusters" / "slurm.sh")
    variables = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8"}
    said = shards(["bash", script, "my trial.yaml", "out"], **variables)
    assert said == ["run", "my trial.yaml", "--out", "out", "--shard", "3/8"]


def test_a_pod_of_kubernetes_runs_its_shard(shards):
    job = yaml.safe_load((FOLDER / "clusters" / "kubernetes.yaml").read_text())["spec"]
    (container,) = job["template"]["spec"]["containers"]
    command = [*container["command"], *container["args"]]
    asked = [shards(command, JOB_COMPLETION_INDEX=str(i))[-1] for i in range(job["completions"])]
    assert asked == [f"{i}/8" for i in range(1, 9)]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(notebook):
    cells = compile(code(notebook), notebook.name, "exec")
    assert cells.co_names
    if notebook.stem != NEEDS_A_GPU:
        run("-c", code(notebook))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_hold_no_outputs(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    assert not any(one.get("outputs") or one.get("execution_count") for one in cells)

"""Every benchmark that the documents quote starts, and kept results give the numbers quoted."""

import json
from importlib import import_module
from pathlib import Path

import pytest

import encoders  # isort: skip  (benchmarks/, put on the path by tests/conftest.py)

DOCS = Path(__file__).parents[1] / "docs"
SCRIPTS = sorted(path.stem for path in (Path(__file__).parents[1] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_finds_what_it_imports(name):
    assert import_module(name).__doc__


def test_the_tables_of_encoders_are_those_of_the_results_beside_them():
    kept = sorted((DOCS / "encoders" / "results").glob("*.json"))
    printed = {cells(line) for line in encoders.tables([json.loads(p.read_text()) for p in kept])}
    page = (DOCS / "encoders.md").read_text().partition("## By transform")[2]
    rows = [line for line in page.partition("## At 256 px")[0].splitlines() if "[" in line]
    shown = [cells(line) for line in rows if line.startswith("| ")]
    assert len(shown) == 3 * len(encoders.TRANSFORMS) + 2 * 14 + 2
    assert set(shown) <= printed


def cells(line: str) -> str:
    """A row of a table without its first cell, which documents name in words."""
    return line.removeprefix("| ").partition(" | ")[2]

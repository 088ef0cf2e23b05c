import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "benchmarks"))
NUMERICAL = (
    *("budgets/", "editors/", "metrics/", "protections/", "transforms/"),
    *("models/test_chain", "models/test_edit_model", "models/test_embedded", "models/test_taesd"),
    *("trial/test_masks.py", "test_noise.py", "test_appearance.py"),
)
"""Folders and files here whose outcome could hang on how a CPU rounds: networks, float32.

Not those that read models' files, nor comparisons of two schedulers on one CPU. Tests elsewhere
that hang on it, such as on rows that don't depend on their batch, are marked one by one."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="also run tests marked slow")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where numerical tests alone are asked for, files that have none aren't even imported."""
    if config.option.markexpr != "numerical" or collection_path.suffix != ".py":
        return None
    inside = collection_path.relative_to(HERE).as_posix().startswith(NUMERICAL)
    return None if inside or "mark.numerical" in collection_path.read_text("utf-8") else True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(HERE).as_posix().startswith(NUMERICAL):
            item.add_marker(pytest.mark.numerical)
        if "slow" in item.keywords and not config.getoption("--run-slow"):
            item.add_marker(pytest.mark.skip(reason="slow: run with --run-slow"))


@pytest.fixture(scope="session", autouse=True)
def _two_threads() -> None:
    torch.set_num_threads(min(2, torch.get_num_threads()))


@pytest.fixture(scope="session")
def tiny_sd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved pipeline of SD 1.5's exact layout, random and of reduced width; its size is 64 px."""
    from tests.models import tiny

    return tiny.save(tmp_path_factory.mktemp("models") / "tiny-sd")


@pytest.fixture(scope="session")
def small_sd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `tiny_sd`, a third as deep: for tests of what is done with any model."""
    from tests.models import tiny

    folder = tmp_path_factory.mktemp("models") / "small-sd"
    tiny.small().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def embedded():
    """The embedded model at its smallest size, in float32: fast, and the same on every CPU."""
    from brittle.models import load_model

    return load_model("embedded", device="cpu", dtype="float32", size=128)


@pytest.fixture(scope="session")
def photos() -> torch.Tensor:
    """Two real photos, (2, 3, 128, 128) on the 8-bit grid."""
    from skimage import data

    crops = [data.astronaut()[0:256:2, 100:356:2], data.chelsea()[:256:2, 100:356:2]]
    return torch.stack([torch.from_numpy(c.copy()).permute(2, 0, 1) for c in crops]).float() / 255

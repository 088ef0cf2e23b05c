import importlib
import importlib.util
import pickle
import sys
import types

import pytest
import torch

from brittle.budgets import PerceptualBudget, read_budget
from brittle.errors import Unavailable
from brittle.metrics import STLPIPS
from brittle.networks import st_lpips
from tests.metrics.test_psnr import noisy

HERE = importlib.util.find_spec("stlpips_pytorch") is not None
needs_weights = pytest.mark.skipif(not HERE, reason="pip install 'brittle[st-lpips]'")


@pytest.fixture
def published(monkeypatch):
    """The authors' own code, without what it imports and never uses here."""

    class Anything(types.ModuleType):
        def __getattr__(self, name):
            return None

    for name in ("IPython", "torchsummary", "torchvision"):
        monkeypatch.setitem(sys.modules, name, Anything(name))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return importlib.import_module("stlpips_pytorch.stlpips")


@needs_weights
def test_equals_the_authors_code(photos, published):
    theirs = published.LPIPS(net="alex", variant="shift_tolerant", verbose=False)
    edited = noisy(photos)
    with torch.no_grad():
        expected = theirs(edited, photos, normalize=True).flatten()
    assert STLPIPS().score(edited, photos).tolist() == pytest.approx(expected.tolist(), rel=1e-4)


@needs_weights
def test_a_budget_in_it_is_kept_on_the_file(photos):
    budget = read_budget("st-lpips:0.02@16/255")
    assert budget == PerceptualBudget(norm="st-lpips", radius=0.02, within=16 / 255)
    assert read_budget(str(budget)) == budget
    published = budget.round_inside(photos, noisy(photos, 0.1))
    distances = STLPIPS().score(published, photos)
    assert (distances <= 0.02).all()
    assert (distances > 0.9 * 0.02).all()


@needs_weights
def test_says_that_pixels_are_too_few(photos):
    least = photos[..., : st_lpips.SMALLEST, : st_lpips.SMALLEST]
    assert STLPIPS().score(least, least).tolist() == [0] * len(photos)
    with pytest.raises(Unavailable, match="22 pixels"):
        STLPIPS().score(least[..., 1:], least[..., 1:])


def test_never_unpickles_code(photos, tmp_path, monkeypatch):
    class Payload:
        def __reduce__(self):
            return (pytest.fail, ("a checkpoint ran code",))

    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps(Payload(), protocol=2))
    monkeypatch.setattr(st_lpips, "weights", lambda: path)
    with pytest.raises(Unavailable, match="can't read"):
        STLPIPS().score(photos, photos)


def test_says_that_the_package_is_missing(photos, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match=r"brittle\[st-lpips\]"):
        STLPIPS().score(photos, photos)

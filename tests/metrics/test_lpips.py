import importlib.util
import pickle

import pytest
import torch

from brittle.errors import Unavailable
from brittle.metrics import LPIPS
from brittle.networks.lpips import SMALLEST
from tests.metrics import files
from tests.metrics.test_psnr import noisy


@pytest.mark.parametrize(("net", "features"), [("alex", files.alexnet()), ("vgg", files.vgg16())])
def test_equals_torchmetrics_on_the_same_network(photos, tmp_path, monkeypatch, net, features):
    implementation = pytest.importorskip("torchmetrics.functional.image.lpips")
    monkeypatch.setattr(implementation, "_get_tv_model_features", lambda *_, **__: features)
    theirs = implementation._LPIPS(pretrained=True, net=net, use_dropout=True)
    edited = noisy(photos)
    with torch.no_grad():
        expected = theirs(edited, photos, normalize=True).flatten()
    metric = LPIPS(net=net, path=str(files.save_checkpoint(tmp_path / "net.pth", features)))
    assert metric.score(edited, photos).tolist() == pytest.approx(expected.tolist(), rel=1e-4)


@pytest.mark.parametrize(("net", "features"), [("alex", files.alexnet()), ("vgg", files.vgg16())])
def test_a_picture_too_small_for_the_network_is_said_to_be(photos, tmp_path, net, features):
    metric = LPIPS(net=net, path=str(files.save_checkpoint(tmp_path / "net.pth", features)))
    least = SMALLEST[net]
    assert (metric.score(*[noisy(photos)[..., :least, :], photos[..., :least, :]]) > 0).all()
    with pytest.raises(Unavailable, match=f"at least {least} pixels a side"):
        metric.score(photos[..., : least - 1], photos[..., : least - 1])


def test_finds_the_checkpoint_where_torch_keeps_it(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(
        Unavailable, match=r"alexnet-owt-7be5be79.pth: put it into hub/checkpoints of"
    ) as missing:
        LPIPS().score(photos, photos)
    assert str(tmp_path) not in str(missing.value)  # it is stored, and published
    files.save_checkpoint(
        tmp_path / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth", files.alexnet()
    )
    assert (LPIPS().score(noisy(photos), photos) > 0).all()


def test_never_unpickles_code(photos, tmp_path):
    class Payload:
        def __reduce__(self):
            return (pytest.fail, ("a checkpoint ran code",))

    path = tmp_path / "alexnet.pth"
    path.write_bytes(pickle.dumps(Payload(), protocol=2))
    with pytest.raises(Unavailable, match="can't read"):
        LPIPS(path=str(path)).score(photos, photos)


def test_refuses_another_network(photos, tmp_path):
    path = files.save_checkpoint(tmp_path / "vgg.pth", files.vgg16())
    with pytest.raises(Unavailable, match=r"can't read .* as alexnet"):
        LPIPS(path=str(path)).score(photos, photos)


def test_says_that_torchmetrics_is_missing(photos, tmp_path, monkeypatch):
    path = files.save_checkpoint(tmp_path / "alexnet.pth", files.alexnet())
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="brittle\\[metrics\\]"):
        LPIPS(path=str(path)).score(photos, photos)

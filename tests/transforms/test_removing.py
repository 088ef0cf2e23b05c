import hashlib

import pytest
import torch
from torch.nn import functional

from brittle.errors import UserError
from brittle.images import quantise
from brittle.networks import remover
from brittle.protections import Protection
from brittle.transforms import Remover


def by_hand(weights, image):
    """The network as a few lines of functions; sides are multiples of four."""

    def conv(name, x, **options):
        return functional.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], **options)

    def residual(name, x):
        return x + conv(
            f"{name}.second", conv(f"{name}.first", x, padding=1).clamp(min=0), padding=1
        )

    x = conv("enter", functional.pixel_unshuffle(image - 0.5, 2), padding=1)
    for place in range(2):
        x = residual(f"before.{place}", x)
    deep = conv("down", x, stride=2)
    for place in range(3):
        deep = residual(f"middle.{place}", deep)
    x = x + functional.conv_transpose2d(deep, weights["up.weight"], weights["up.bias"], stride=2)
    for place in range(2):
        x = residual(f"after.{place}", x)
    return image - functional.pixel_shuffle(conv("leave", x, padding=1), 2)


def test_the_network_is_these_few_lines(photos):
    network = remover.load_remover()
    photo = photos[:1, :, :24, :36]
    assert torch.allclose(network(photo), by_hand(network.state_dict(), photo), atol=1e-5)
    received = Remover().apply(photo)
    assert torch.equal(received, quantise(network(photo)))


def test_untrained_it_removes_nothing_at_any_size():
    image = torch.rand(1, 3, 17, 22)
    assert torch.equal(remover.RemoverNetwork()(image), image)


def test_its_weights_belong_to_its_version():
    # Other weights give other pictures: raise Remover.version with them.
    assert Remover.version == 1
    assert hashlib.sha256(remover.WEIGHTS.read_bytes()).hexdigest() == remover.SHA256
    assert remover.SHA256.startswith("1b13251d")


def test_it_takes_some_of_a_protections_shift_off(embedded, photos):
    protected = Protection.parse("encoder:steps=10,step_size=0.02")(embedded, photos[:1], seeds=[0])

    def apart(one, other):
        with torch.no_grad():
            return float((embedded.encode(one) - embedded.encode(other)).norm())

    received, control = Remover().apply(torch.cat([protected, photos[:1]])).split(1)
    assert apart(received, control) < 0.9 * apart(protected, photos[:1])


def test_other_weights_are_refused(monkeypatch, tmp_path):
    (tmp_path / "other.safetensors").write_bytes(b"other")
    monkeypatch.setattr(remover, "WEIGHTS", tmp_path / "other.safetensors")
    remover.load_remover.cache_clear()
    with pytest.raises(UserError, match="is not the file that brittle knows"):
        remover.load_remover()
    remover.load_remover.cache_clear()

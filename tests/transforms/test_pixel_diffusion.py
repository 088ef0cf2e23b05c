"""DiffPure against diffusers' DDPM, GrIDPure against a plain loop, and the network beneath both."""

import hashlib

import pytest
import torch
from torch.nn import functional

from brittle.errors import UserError
from brittle.images import quantise
from brittle.networks import pixel_denoiser
from brittle.noise import generators
from brittle.protections import Protection
from brittle.transforms import DiffPure, GridPure, Transform
from brittle.transforms.pixel_diffusion import diffused


def by_hand(weights, image, told):
    """The UNet as a few lines of functions; sides are multiples of eight."""

    def conv(name, x, **options):
        return functional.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], **options)

    def block(name, x):
        numbers = told @ weights[f"{name}.told.weight"].T + weights[f"{name}.told.bias"]
        scale, shift = (part[..., None, None] for part in numbers.split(x.shape[1], dim=1))
        inner = conv(f"{name}.first", x, padding=1) * (1 + scale) + shift
        return x + conv(f"{name}.second", inner * inner.sigmoid(), padding=1)

    def up(name, x):
        parts = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return functional.conv_transpose2d(x, *parts, stride=2)

    half = block("before.0", conv("enter", functional.pixel_unshuffle(image, 2), padding=1))
    quarter = block("before.1", conv("down.0", half, stride=2))
    eighth = block("after.2", block("before.2", conv("down.1", quarter, stride=2)))
    quarter = block("after.1", quarter + up("up.1", eighth))
    half = block("after.0", half + up("up.0", quarter))
    return functional.pixel_shuffle(conv("leave", half, padding=1), 2)


def test_the_network_is_these_few_lines(photos):
    network = pixel_denoiser.load_pixel_denoiser()
    image, level = 2 * photos[:1, :, :24, :40] - 1, 99
    kept = float(pixel_denoiser.signal()[level])
    turns = torch.pi / 10 * torch.tensor((1 - kept) / kept).log() * torch.tensor([1.0, 2, 4, 8])
    told = torch.cat([turns.sin(), turns.cos()])[None]
    expected = by_hand(network.state_dict(), image, told)
    assert torch.allclose(network(image, torch.tensor([level])), expected, atol=1e-4)


def test_it_finds_the_noise_in_a_photo(photos):
    noise = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for level in (9, 99, 199):
        kept = pixel_denoiser.signal()[level]
        noisy = kept.sqrt() * (2 * photos[:1, :, :64, :64] - 1) + (1 - kept).sqrt() * noise
        found = pixel_denoiser.load_pixel_denoiser()(noisy, torch.tensor([level]))
        assert (found - noise).square().mean() < 0.75  # 1: it finds nothing


def test_its_weights_belong_to_the_transforms_versions():
    # Other weights give other pictures: raise both versions with them.
    assert DiffPure.version == GridPure.version == 1
    assert hashlib.sha256(pixel_denoiser.WEIGHTS.read_bytes()).hexdigest() == pixel_denoiser.SHA256
    assert pixel_denoiser.SHA256.startswith("c9032f34")


@pytest.mark.parametrize("steps", [1, 6])
def test_diffpure_is_ddpm_from_a_noised_picture(photos, steps):
    diffusers = pytest.importorskip("diffusers")
    ddpm = diffusers.DDPMScheduler(
        beta_start=1e-4, beta_end=0.02, beta_schedule="linear", variance_type="fixed_small"
    )
    network, image = pixel_denoiser.load_pixel_denoiser(), photos[:1, :, :24, :40]
    stream = torch.Generator().manual_seed(5)
    noise = torch.randn(image.shape, generator=stream)
    x = ddpm.add_noise(2 * image - 1, noise, torch.tensor([steps - 1]))
    for t in reversed(range(steps)):
        x = ddpm.step(network(x, torch.tensor([t])), t, x, generator=stream).prev_sample
    assert torch.allclose(diffused(image, steps, generators([5])), (x + 1) / 2, atol=1e-5)
    received = DiffPure(steps=steps).apply(image, seeds=[5])
    assert (received - (x + 1).clamp(0, 2) / 2).abs().max() <= 0.51 / 255


def test_gridpure_is_a_loop_over_tiles(photos):
    image, streams = photos[:1, :, :40, :28], generators([5])
    for _ in range(2):
        total, count = torch.zeros_like(image), torch.zeros_like(image)
        for top in (0, 8, 16, 24):
            for left in (0, 8, 12):
                place = (..., slice(top, top + 16), slice(left, left + 16))
                total[place] += diffused(image[place], 3, streams)
                count[place] += 1
        corners = [(..., rows, columns) for rows in (slice(8), slice(-8, None))
                   for columns in (slice(8), slice(-8, None))]  # fmt: skip
        upper, lower = (torch.cat([image[c] for c in corners[i : i + 2]], -1) for i in (0, 2))
        tile = diffused(torch.cat([upper, lower], -2), 3, streams)
        for corner, rows, columns in zip(corners, (0, 0, 8, 8), (0, 8, 0, 8), strict=True):
            total[corner] += tile[..., rows : rows + 8, columns : columns + 8]
            count[corner] += 1
        image = quantise(0.9 * total / count + 0.1 * image)
    purifier = GridPure(steps=3, rounds=2, side=16)
    assert torch.equal(purifier.apply(photos[:1, :, :40, :28], seeds=[5]), image)


def test_gridpure_of_a_picture_smaller_than_a_tile(photos):
    # One tile of the whole picture, and one of its corners: again the whole.
    image, streams = photos[:1, :, :17, :30], generators([5])
    mean = (diffused(image, 2, streams) + diffused(image, 2, streams)) / 2
    received = GridPure(steps=2, rounds=1, gamma=0).apply(image, seeds=[5])
    assert torch.equal(received, quantise(mean))


@pytest.mark.parametrize("text", ["diffpure:steps=12", "gridpure:steps=3,rounds=2"])
def test_it_takes_some_of_a_protections_shift_off_and_leaves_the_photo(embedded, photos, text):
    protected = Protection.parse("encoder:steps=10,step_size=0.02")(embedded, photos[:1], seeds=[0])

    def apart(one, other):
        with torch.no_grad():
            return float((embedded.encode(one) - embedded.encode(other)).norm())

    both = torch.cat([protected, photos[:1]])
    received, control = Transform.parse(text).apply(both, seeds=[1, 1]).split(1)
    assert apart(received, control) < 0.95 * apart(protected, photos[:1])
    assert -10 * (control - photos[:1]).square().mean().log10() > 24


@pytest.mark.parametrize("text", ["diffpure:steps=201", "gridpure:steps=0", "gridpure:gamma=1"])
def test_more_noise_than_the_network_knows_is_refused(text):
    with pytest.raises(UserError, match=r"steps|gamma"):
        Transform.parse(text)

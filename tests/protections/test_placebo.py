"""Placebos have a protection's size, measured on the 8-bit images, and nothing else of it."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from brittle.errors import UserError
from brittle.images import from_png, png_bytes, quantise
from brittle.protections import (
    EncoderProtection,
    Noise,
    NoiseLocal,
    NoiseSpectrum,
    Placebo,
    Transplant,
)
from brittle.protections.matching import REGION
from brittle.protections.placebo import overlay
from brittle.record.arms import NOISES, PLACEBO_KINDS

KINDS = [kind(of=EncoderProtection()) for kind in (Noise, NoiseSpectrum, NoiseLocal)]


def levels(original: Tensor, changed: Tensor) -> Tensor:
    return (changed * 255).round() - (original * 255).round()


def psnr(original: Tensor, changed: Tensor) -> float:
    mean_square = levels(original, changed).double().square().mean()
    return float(20 * math.log10(255) - 10 * math.log10(mean_square))


def perturb(image: Tensor, radius: int, *, coarse: int = 1, strength: float = 2, seed=0) -> Tensor:
    """A stand-in for a protection: clipped noise, low-pass where ``coarse`` is above 1."""
    generator = torch.Generator().manual_seed(seed)
    height, width = image.shape[-2:]
    shape = (len(image), 3, -(-height // coarse), -(-width // coarse))
    noise = torch.randn(shape, generator=generator)
    noise = functional.interpolate(noise, (height, width), mode="bilinear") if coarse > 1 else noise
    delta = (noise * strength * radius).round().clamp(-radius, radius)
    return quantise(image + delta / 255)


def saturated(photos: Tensor) -> Tensor:
    image = photos.clone()
    image[:, :, :, :70] = 1
    image[:, :, 100:] = 0
    return image


def pictures(photos: Tensor) -> dict[str, Tensor]:
    return {
        "photo": photos[:1],
        "other photo": photos[1:],
        "odd size": photos[:1, :, :77, :101],
        "saturated": saturated(photos)[:1],
        "white": torch.ones(1, 3, 64, 48),
        "black and white": (photos[:1] > 0.5).float(),
    }


@pytest.mark.parametrize("placebo", KINDS, ids=str)
@pytest.mark.parametrize(
    "name", ["photo", "other photo", "odd size", "saturated", "white", "black and white"]
)
@pytest.mark.parametrize("radius", [1, 4, 12, 40])
@pytest.mark.parametrize(("coarse", "strength"), [(1, 2), (1, 0.3), (8, 2), (1, 100)])
def test_size_and_psnr_are_the_protections(placebo, name, radius, coarse, strength, photos) -> None:
    image = pictures(photos)[name]
    protected = perturb(image, radius, coarse=coarse, strength=strength)
    drawn = placebo.draw(image, protected, seeds=[1])
    assert psnr(image, drawn) == pytest.approx(psnr(image, protected), abs=0.1)
    largest = levels(image, protected).abs().max()
    if isinstance(placebo, Noise):
        assert levels(image, drawn).abs().max() == largest
    assert levels(image, drawn).abs().max() <= largest
    assert torch.equal(from_png(png_bytes(drawn)), drawn)


@pytest.mark.parametrize("placebo", KINDS, ids=str)
def test_a_real_protections_size_is_met(placebo, embedded, photos) -> None:
    image = torch.cat([photos, saturated(photos)])[:, :, ::2, ::2]
    protected = EncoderProtection(steps=5)(embedded, image, seeds=[0, 1, 2, 3])
    drawn = placebo.draw(image, protected, seeds=[0, 1, 2, 3])
    for row in range(4):
        before, after = image[row], drawn[row]
        assert psnr(before, after) == pytest.approx(psnr(before, protected[row]), abs=0.1)
        if isinstance(placebo, Noise):
            assert levels(before, after).abs().max() == levels(before, protected[row]).abs().max()


@pytest.mark.parametrize("kind", [Noise, NoiseSpectrum, NoiseLocal])
@settings(max_examples=30, deadline=None)
@given(
    st.integers(16, 60),
    st.integers(16, 60),
    st.integers(1, 30),
    st.floats(0.05, 20),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.integers(0, 2**20),
)
def test_size_is_met_for_any_shape_strength_and_level(
    kind, height, width, radius, strength, level, seed
) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (1, 3, height, width), generator=generator) / 255
    image[..., : width // 2] = quantise(torch.tensor(level))
    protected = perturb(image, radius, strength=strength, seed=seed)
    drawn = kind(of=EncoderProtection()).draw(image, protected, seeds=[seed])
    changed = levels(image, protected)
    if not changed.any():
        assert torch.equal(drawn, image)
        return
    # A handful of changed values can't be matched closer than to one of them.
    if changed.count_nonzero() >= 50:
        assert abs(psnr(image, drawn) - psnr(image, protected)) < 0.5
    assert levels(image, drawn).abs().max() <= changed.abs().max()
    if kind is Noise:
        assert levels(image, drawn).abs().max() == changed.abs().max()


@pytest.mark.parametrize("placebo", KINDS, ids=str)
def test_only_pixels_that_the_protection_changed_are_changed(placebo, photos) -> None:
    keep = torch.zeros(1, 1, 128, 128)
    keep[..., 30:90, 50:] = 1
    protected = torch.where(keep == 1, perturb(photos, 12), photos)
    drawn = placebo.draw(photos, protected, seeds=[1, 2])
    moved = (drawn != photos).any(1, keepdim=True)
    assert not moved[(keep == 0).expand_as(moved)].any()
    for row in range(2):
        assert psnr(photos[row], drawn[row]) == pytest.approx(
            psnr(photos[row], protected[row]), abs=0.1
        )


@pytest.mark.parametrize("placebo", KINDS, ids=str)
def test_many_draws_of_one_photo_are_independent_and_repeatable(placebo, photos) -> None:
    image, protected = photos[:1], perturb(photos[:1], 12)
    drawn = placebo.draw(image, protected, seeds=range(19))
    assert drawn.shape == (19, 3, 128, 128)
    noise = levels(image, drawn).flatten(1)
    correlation = torch.corrcoef(torch.cat([noise, levels(image, protected).flatten(1)]))
    assert (correlation - torch.eye(20)).abs().max() < 0.05
    alone = placebo.draw(image, protected, seeds=[7])
    assert torch.equal(alone[0], drawn[7])


def band_energies(delta: Tensor, bands: int = 6) -> Tensor:
    """Mean power of each channel-mean spectrum in rings of frequency, (bands,)."""
    power = torch.fft.fft2(delta).abs().square().mean((0, 1))
    rows, columns = (torch.fft.fftfreq(side) for side in delta.shape[-2:])
    radius = (rows[:, None].square() + columns.square()).sqrt()
    ring = (radius * 2 * bands).long().clamp_max(bands - 1)
    return torch.stack([power[ring == band].mean() for band in range(bands)])


def test_the_spectrum_is_the_protections_and_white_noises_is_flat(photos) -> None:
    image = photos * 0.8 + 0.1
    image = quantise(image)
    protected = perturb(image, 12, coarse=4, strength=0.5)
    of = EncoderProtection()
    wanted = band_energies(levels(image, protected))
    spectrum = band_energies(
        levels(image, NoiseSpectrum(of=of).draw(image, protected, seeds=[1, 2]))
    )
    white = band_energies(levels(image, Noise(of=of).draw(image, protected, seeds=[1, 2])))
    assert wanted[0] > 20 * wanted[-1]
    assert white.max() < 1.3 * white.min()
    assert torch.allclose(spectrum[:3], wanted[:3], rtol=0.25)


@pytest.mark.parametrize("kind", [NoiseSpectrum, NoiseLocal])
def test_the_spectrum_keeps_how_channels_go_together(kind, photos) -> None:
    image = quantise(photos[:1] * 0.8 + 0.1)
    gray = perturb(image, 12).mean(1, keepdim=True) - image.mean(1, keepdim=True)
    protected = quantise(image + gray.expand(-1, 3, -1, -1))
    drawn = kind(of=EncoderProtection()).draw(image, protected, seeds=[3])
    channels = levels(image, drawn)[0].flatten(1)
    assert torch.corrcoef(channels)[0, 1] > 0.95


def region_energies(delta: Tensor) -> Tensor:
    """The mean square of each region, (rows, columns)."""
    return functional.avg_pool2d(delta.square().mean(0, keepdim=True), REGION)[0]


def uneven(photos: Tensor) -> tuple[Tensor, Tensor]:
    """A photo in the middle of the range, and coarse noise on it that is strong on its left."""
    image = quantise(photos[:1] * 0.6 + 0.2)
    ramp = torch.linspace(1, 0.1, image.shape[-1])
    change = levels(image, perturb(image, 24, coarse=4, strength=0.5)) * ramp
    return image, quantise(image + change / 255)


def test_local_noise_is_strong_where_the_protection_is(photos) -> None:
    image, protected = uneven(photos)
    wanted = region_energies(levels(image, protected)[0])
    for kind, is_local in ((NoiseLocal(), True), (NoiseSpectrum(), False)):
        found = region_energies(levels(image, kind.draw(image, protected, seeds=[1]))[0])
        within = torch.allclose(found, wanted, rtol=0.1, atol=0.1)
        assert within == is_local
    assert wanted.max() > 20 * wanted.min()


def test_local_noise_keeps_the_spectrum(photos) -> None:
    image, protected = uneven(photos)
    wanted = band_energies(levels(image, protected))
    found = band_energies(levels(image, NoiseLocal().draw(image, protected, seeds=[1])))
    assert wanted[0] > 20 * wanted[-1]
    assert torch.allclose(found[:2], wanted[:2], rtol=0.3)  # where 99 % of the energy lies


def captioned(image: Tensor) -> Tensor:
    """White bars in a corner, as of letters."""
    image = image.clone()
    for at in range(10, 50, 8):
        image[..., 100:112, at : at + 4] = 1
    return image


def framed(image: Tensor) -> Tensor:
    """A white frame of 2 px."""
    inside = functional.pad(torch.ones_like(image[..., 2:-2, 2:-2]), (2, 2, 2, 2))
    return torch.where(inside == 1, image, 1.0)


@pytest.mark.parametrize("kind", PLACEBO_KINDS)
def test_a_caption_alone_is_its_own_placebo(kind, photos) -> None:
    image = quantise(photos * 0.6)
    protected = captioned(image)
    assert torch.equal(Placebo.parse(kind).draw(image, protected, seeds=[1, 2]), protected)


@pytest.mark.parametrize("kind", NOISES)
def test_a_frame_stands_in_every_placebo_and_adds_nothing_to_its_noise(kind, photos) -> None:
    image = quantise(photos[:1] * 0.6)
    alone = perturb(image, 12)
    protected = framed(alone)
    drawn = Placebo.parse(kind).draw(image, protected, seeds=[1, 2])
    covered = overlay(levels(image, protected)[0])
    assert torch.equal(drawn[..., covered], protected[..., covered].expand(2, -1, -1))
    middle = (..., slice(8, -8), slice(8, -8))
    for row in drawn:
        assert psnr(image[middle], row[None][middle]) == pytest.approx(
            psnr(image[middle], alone[middle]), abs=0.1
        )


def test_a_perturbation_that_is_large_everywhere_is_no_overlay(photos) -> None:
    image = photos[:1] * 0 + 0.5
    protected = perturb(image, 90)
    assert not overlay(levels(image, protected)[0]).any()
    drawn = Noise().draw(image, protected, seeds=[1])
    assert abs(float(torch.corrcoef(torch.stack([
        levels(image, one).flatten() for one in (drawn, protected)
    ]))[0, 1])) < 0.05  # fmt: skip


def test_a_transplant_is_the_perturbation_moved_and_mirrored(photos) -> None:
    image = quantise(photos[:1] * 0.8 + 0.1)
    protected = perturb(image, 12, coarse=4)
    first, second = levels(image, Transplant().draw(image, protected, seeds=[1, 2]))
    change = levels(image, protected)[0]
    for moved in (first, second):
        assert torch.equal(moved.flatten(1).sort().values, change.flatten(1).sort().values)
        assert not torch.equal(moved, change)
    assert not torch.equal(first, second)
    white = torch.ones_like(image)
    assert Transplant().draw(white, perturb(white, 12), seeds=[1]).max() == 1


def test_white_noise_has_independent_pixels_and_channels(photos) -> None:
    image = quantise(photos[:1] * 0.8 + 0.1)
    drawn = Noise(of=EncoderProtection()).draw(image, perturb(image, 12, coarse=8), seeds=[3])
    noise = levels(image, drawn)[0]
    assert torch.corrcoef(noise.flatten(1)).triu(1).abs().max() < 0.03
    shifted = torch.stack([noise.flatten(), noise.roll(1, -1).flatten()])
    assert abs(float(torch.corrcoef(shifted)[0, 1])) < 0.03
    assert abs(float(noise.mean())) < 0.2


def test_a_placebo_of_nothing_is_the_photo(photos) -> None:
    for placebo in KINDS:
        assert torch.equal(placebo.draw(photos, photos, seeds=[1, 2]), photos)


def test_shapes_that_do_not_belong_together_are_refused(photos) -> None:
    for protected, seeds in [(photos[:, :, :64], [0, 1]), (photos[:1], [0, 1]), (photos, [0])]:
        with pytest.raises(UserError, match="A placebo needs"):
            KINDS[0].draw(photos, protected, seeds=seeds)


def test_a_placebo_of_a_file_from_elsewhere_needs_no_protection(photos) -> None:
    image, protected = photos[:1], perturb(photos[:1], 6)
    for kind in NOISES:
        placebo = Placebo.parse(kind)
        assert str(placebo) == kind
        assert Placebo.from_record(placebo.record()) == placebo
        drawn = placebo.draw(image, protected, seeds=[1])
        assert psnr(image, drawn) == pytest.approx(psnr(image, protected), abs=0.1)


def test_a_placebo_is_recorded_with_its_protection() -> None:
    for kind in PLACEBO_KINDS:
        placebo = Placebo.parse(f"{kind}:of=photoguard-demo")
        assert placebo.of.steps == 200
        assert Placebo.from_record(placebo.record()) == placebo
        assert placebo.record()["fields"]["of"]["fields"]["steps"] == 200
    assert Noise(of=EncoderProtection()).record() != NoiseSpectrum(of=EncoderProtection()).record()


@pytest.mark.parametrize("kind", NOISES)
def test_a_protection_that_is_strong_in_a_part_is_no_overlay(kind, photos) -> None:
    image = quantise(photos[:1] * 0.4 + 0.3)
    protected = image.clone()
    protected[..., :48] = perturb(image, 60)[..., :48]
    drawn = Placebo.parse(kind).model_copy(update={"of": EncoderProtection()})
    (placebo,) = drawn.draw(image, protected, seeds=[1])
    moved = levels(image, placebo[None]) != 0
    assert not torch.equal(placebo, protected[0])
    assert psnr(image, placebo[None]) == pytest.approx(psnr(image, protected), abs=0.1)
    assert not moved[..., 48:].any()

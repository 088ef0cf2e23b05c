"""Perturbations made of other things than pixels: their loop, their budget, what they can reach."""

import pytest
import torch
from kornia.filters import gaussian_blur2d
from torch import Tensor
from torch.nn import functional

from brittle.component import key
from brittle.errors import UserError
from brittle.images import from_png, png_bytes
from brittle.protections import EncoderProtection, NoiseSpectrum, Protection
from brittle.protections.forms import BlurredRegions, _blurred, _regions, _rings
from brittle.transforms.soft_jpeg import soft_jpeg
from tests.protections.conftest import run_loop

RADIUS, STEP, STEPS = 12 / 255, 4 / 255, 3
SETTING = {"budget": "linf:12/255", "step_size": STEP, "steps": STEPS, "target": "zero"}
FORMS = ["low:factor=8", "dct:quality=95", "blur:regions=4,fitting=2"]


@pytest.fixture(scope="module")
def image(photos) -> Tensor:
    return photos[:1, :, 40:72, 40:64].double()


def low(image: Tensor, numbers: Tensor) -> Tensor:
    size = image.shape[-2:]
    return image + RADIUS * functional.interpolate(numbers.view(1, 3, 4, 3), size, mode="bilinear")


def dct(image: Tensor, numbers: Tensor) -> Tensor:
    luma = numbers[:, : 4 * 3 * 64].view(1, 1, 4, 3, 64)
    colours = numbers[:, 4 * 3 * 64 :].view(1, 2, 2, 2, 64)
    added = {1: luma, 2: colours}
    return soft_jpeg(image, 95, "4:2:0", lambda own: own.round() + added[own.shape[1]])


def blur(image: Tensor, numbers: Tensor) -> Tensor:
    noise = numbers.view_as(image)
    return image + RADIUS * gaussian_blur2d(noise, (33, 33), (1.0, 1.0), border_type="replicate")


@pytest.mark.parametrize(
    ("text", "picture", "count"),
    [
        ("low:factor=8", low, 3 * 4 * 3),
        ("dct:quality=95", dct, 4 * 3 * 64 + 2 * 2 * 2 * 64),
        ("blur:regions=4,fitting=0", blur, 3 * 32 * 24),
    ],
)
def test_it_takes_the_steps_of_the_loop_written_out(text, picture, count, exact, image) -> None:
    result, _ = run_loop(EncoderProtection(**SETTING, delta=text), exact, image, seeds=[0])
    numbers = torch.zeros(1, count, dtype=torch.float64)

    def inside(numbers: Tensor) -> Tensor:
        return picture(image, numbers).clamp(image - RADIUS, image + RADIUS).clamp(0, 1)

    for _ in range(STEPS):
        numbers.requires_grad_()
        loss = exact.vae.encode(2 * inside(numbers) - 1).latent_dist.mean.square().sum()
        (gradient,) = torch.autograd.grad(loss, numbers)
        share = STEP / RADIUS
        if text.startswith("blur"):
            numbers = numbers.detach() - share * gradient / gradient.square().mean().sqrt()
        else:
            numbers = (numbers.detach() - share * gradient.sign()).clamp(-1, 1)
    expected = inside(numbers).detach()
    # A gradient near zero may round to either sign.
    assert (result - expected).abs().gt(1e-6).double().mean() < 0.02
    assert (result - image).abs().max() > 2 / 255


@pytest.mark.parametrize("budget", ["linf:8/255", "l2:8@512", "perceptual:1"])
@pytest.mark.parametrize("delta", FORMS)
def test_every_budget_and_a_mask_hold_on_the_file(delta, budget, kl, photos) -> None:
    image, mask = photos[:, :, :40, :56], torch.zeros(1, 1, 40, 56)
    mask[..., 10:20, 20:40] = 1
    protection = EncoderProtection(steps=2, delta=delta, target="zero", step_size=4 / 255)
    protection = protection.with_budget(EncoderProtection(budget=budget).budget)
    protected = protection(kl, image, mask=mask, seeds=[0, 1])
    files = torch.cat([from_png(png_bytes(row)) for row in protected])
    assert torch.equal(files, protected)
    moved = files != image
    assert moved.flatten(1).any(1).all()
    assert not moved[(mask == 1).expand_as(moved)].any()
    if protection.budget.norm != "perceptual":
        limit = protection.budget.limit(40, 56)
        spent = (files - image).flatten(1)
        size = spent.abs().amax(1) if protection.budget.norm == "linf" else spent.norm(dim=1)
        assert (size <= limit * (1 + 1e-5)).all()


@pytest.mark.parametrize("delta", FORMS)
def test_the_loss_falls_and_a_row_is_its_own(delta, kl, photos) -> None:
    image = photos[:, :, :64, :64]
    protection = EncoderProtection(
        steps=4, step_size=4 / 255, target="zero", delta=delta, random_start=True
    )
    result, trace = run_loop(protection, kl, image, seeds=[5, 6])
    assert (trace.losses[-1] < trace.losses[0]).all()
    alone, _ = run_loop(protection, kl, image[1:], seeds=[6])
    assert (result[1:] - alone).abs().max() < 0.5 / 255


def test_texts_records_and_keys_tell_forms_apart() -> None:
    plain = Protection.parse("encoder")
    assert "delta" not in plain.record()["fields"]
    keys = {key(plain)}
    for delta in FORMS:
        protection = EncoderProtection(delta=delta)
        assert Protection.parse(str(protection)) == protection
        assert Protection.from_record(protection.record()) == protection
        keys.add(key(protection))
    assert len(keys) == 1 + len(FORMS)
    with pytest.raises(UserError, match="delta"):
        Protection.parse("encoder:delta=waves")
    with pytest.raises(UserError, match="delta takes signed steps"):
        Protection.parse('style-cloak:delta="low:factor=8"')


def test_regions_cover_the_photo_once(photos) -> None:
    covered = torch.zeros(64, 96)
    found = _regions(photos[0, :, :64, :96], 6)
    for box, own in found:
        covered[box] += own
    assert torch.equal(covered, torch.ones(64, 96))
    assert len(found) > 1


def test_the_blur_is_fitted_to_the_photos_spectrum(photos) -> None:
    photo, limit = photos[0, :, :64, :64], 16 / 255
    regions = _regions(photo, 4)

    def distance(fitting: int) -> float:
        """The largest change of a ring's power, in decades, by other noise than was fitted to."""
        form = BlurredRegions(regions=4, fitting=fitting)
        sigmas = form._fitted(photo, regions, torch.Generator().manual_seed(1), limit)
        noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(2))
        change = _blurred(noise.clamp(-limit, limit), regions, sigmas)
        rings = _rings((photo + change).clamp(0, 1)).log10() - _rings(photo).log10()
        return float(rings.abs().max())

    assert distance(30) < 0.8 * distance(0)


@pytest.mark.parametrize("delta", FORMS)
def test_a_placebo_has_the_size_of_what_was_published(delta, kl, photos) -> None:
    protection = EncoderProtection(steps=2, step_size=4 / 255, target="zero", delta=delta)
    photo = photos[:1]
    file = protection(kl, photo, seeds=[0])
    placebo = NoiseSpectrum(of=protection).draw(photo, file, seeds=[0])
    size, other = ((one - photo).square().mean().sqrt() for one in (file, placebo))
    assert float(other) == pytest.approx(float(size), rel=0.03)
    assert not torch.equal(placebo, file)

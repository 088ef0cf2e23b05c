"""The encoder protection: its gradient, its targets, masks, and photos of any size."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from brittle.errors import UserError
from brittle.images import from_png, png_bytes, write_image
from brittle.models import load_model
from brittle.protections import EncoderProtection, Protection
from tests.protections.conftest import run_loop


def loss(model, image: Tensor, target: Tensor) -> Tensor:
    with torch.no_grad():
        return (model.encode(model.fit(image)) - target).square().flatten(1).sum(1)


def gray_latent(model, image: Tensor) -> Tensor:
    with torch.no_grad():
        return model.encode(torch.full_like(model.fit(image[:1]), 0.5))


@pytest.mark.parametrize("size", [(32, 32), (70, 41)])
def test_its_gradient_passes_finite_differences(small_sd, photos, size) -> None:
    model = load_model(small_sd, device="cpu", vae_dtype=torch.float64)
    image = photos[:, :, : size[0], : size[1]].double() * 0.9 + 0.05
    image.requires_grad_(True)
    protection = EncoderProtection()
    settings = {"mask": None, "seeds": [0, 1]}
    settings["prepared"] = protection.prepare(model, image.detach(), **settings)
    value = protection.objective(model, image, image, **settings)
    assert value.shape == (2,)
    (gradient,) = torch.autograd.grad(value.sum(), image)
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        direction = torch.randn(image.shape, generator=generator, dtype=torch.float64)
        ahead, behind = (
            protection.objective(model, image + step * direction, image, **settings).sum()
            for step in (1e-5, -1e-5)
        )
        slope = float((gradient * direction).sum())
        assert float((ahead - behind).detach()) / 2e-5 == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize("which", ["kl", "tiny"])
@pytest.mark.parametrize("size", [(128, 128), (75, 113), (33, 128), (16, 16)])
def test_it_protects_photos_of_any_size(which, size, request, photos) -> None:
    model = request.getfixturevalue(which)
    image = photos[:, :, : size[0], : size[1]]
    protected = EncoderProtection(steps=4)(model, image, seeds=[0, 1])
    assert protected.shape == image.shape
    target = gray_latent(model, image)
    assert (loss(model, protected, target) < 0.99 * loss(model, image, target)).all()


def test_the_target_of_zero_is_the_zero_latent(kl, photos) -> None:
    image = photos[:, :, :64, :64]
    protected = EncoderProtection(steps=4, target="zero")(kl, image, seeds=[0, 1])
    zero = torch.zeros_like(gray_latent(kl, image))
    assert (loss(kl, protected, zero) < 0.99 * loss(kl, image, zero)).all()


def test_the_norm_without_the_square_gives_the_same_steps(kl, photos) -> None:
    class Unsquared(EncoderProtection):
        name = "unsquared"

        def objective(self, model, perturbed, *args, **kwargs) -> Tensor:
            return super().objective(model, perturbed, *args, **kwargs).sqrt()

    image = photos[:, :, :64, :64]
    plain, _ = run_loop(EncoderProtection(steps=2, target="zero"), kl, image)
    unsquared, _ = run_loop(Unsquared(steps=2, target="zero"), kl, image)
    assert (plain - unsquared).abs().gt(1e-6).float().mean() < 0.01


def test_the_target_may_be_an_image_of_another_shape(kl, photos, tmp_path) -> None:
    path = tmp_path / "target.png"
    write_image(path, photos[1:, :, 20:100, 10:74])
    protection = Protection.parse(f"encoder:steps=6,target={path}")
    image = photos[:1, :, :64, :48]
    protected = protection(kl, image, seeds=[0])

    stretched = functional.interpolate(
        photos[1:, :, 20:100, 10:74], (64, 48), mode="bilinear", antialias=True
    )
    with torch.no_grad():
        target = kl.encode(stretched)
    gray = gray_latent(kl, image)
    towards_image = loss(kl, protected, target) / loss(kl, image, target)
    by_gray = EncoderProtection(steps=6)(kl, image, seeds=[0])
    assert towards_image < 0.99
    assert towards_image < loss(kl, by_gray, target) / loss(kl, image, target)
    assert loss(kl, by_gray, gray) < loss(kl, protected, gray)


def test_the_record_holds_the_target_images_pixels(kl, photos, tmp_path) -> None:
    path = tmp_path / "target.png"
    write_image(path, photos[:1])
    protection = EncoderProtection(target=str(path), steps=1)
    record = protection.record()
    assert Protection.from_record(record) == protection
    assert Protection.parse(str(protection)) == protection

    write_image(path, photos[1:], overwrite=True)
    assert EncoderProtection(target=str(path)).target != protection.target
    # The old record can still be read, but not run on other pixels.
    again = Protection.from_record(record)
    with pytest.raises(UserError, match=r"target\.png isn't the one"):
        again(kl, photos[:1, :, :32, :32], seeds=[0])


def test_a_target_that_is_no_image_is_refused(tmp_path) -> None:
    with pytest.raises(UserError, match=r"'grey' is neither gray nor zero nor away, nor an image"):
        Protection.parse("encoder:target=grey")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    with pytest.raises(UserError, match=r"broken\.png"):
        Protection.parse(f"encoder:target={tmp_path / 'broken.png'}")


@pytest.mark.parametrize(("channels", "hides"), [(4, False), (9, True)])
def test_under_a_mask_it_sees_what_inpainting_encodes(
    channels, hides, tmp_path, photos, monkeypatch
) -> None:
    from tests.models import tiny

    model = load_model(tiny.save(tmp_path, unet_channels=channels), device="cpu", dtype="float32")
    image = photos[:1, :, :64, :64]
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    seen = []
    encode = model.encode_to_attack
    monkeypatch.setattr(
        model, "encode_to_attack", lambda shown: seen.append(shown.detach()) or encode(shown)
    )
    protected = EncoderProtection(steps=1)(model, image, mask=mask, seeds=[0])

    expected = image * (1 - mask) + 0.5 * mask if hides else image
    assert torch.allclose(seen[-1], expected)
    moved = (protected != image).any(1, keepdim=True)
    assert not moved[mask == 1].any()
    assert moved[mask == 0].float().mean() > 0.9


def test_the_published_file_is_what_was_optimised(embedded, photos) -> None:
    image = photos[:, :, :64, :64]
    protection = EncoderProtection(steps=3)
    protected = protection(embedded, image, seeds=[0, 1])
    result, _ = run_loop(protection, embedded, image)
    assert (protected - result).abs().max() <= 0.76 / 255
    assert torch.equal(from_png(png_bytes(protected[:1])), protected[:1])

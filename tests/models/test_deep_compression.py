"""Sana's autoencoder: as diffusers computes it, and what it serves."""

import pytest
import torch

from brittle.errors import UserError
from brittle.models import load_model
from brittle.protections import EncoderProtection, Protection


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A narrow one of the published layout: five halvings, the last blocks with attention."""
    import diffusers

    torch.manual_seed(0)
    each = {
        "block_types": ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3,
        "block_out_channels": (8, 8, 8, 16, 16, 16),
        "qkv_multiscales": ((), (), (), (5,), (5,), (5,)),
    }
    theirs = diffusers.AutoencoderDC(
        latent_channels=8,
        attention_head_dim=8,
        encoder_layers_per_block=(1, 1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1, 1),
        upsample_block_type="interpolate",
        downsample_block_type="Conv",
        scaling_factor=0.41407,
        **{f"{side}_{name}": one for side in ("encoder", "decoder") for name, one in each.items()},
    )
    folder = tmp_path_factory.mktemp("dc")
    theirs.save_pretrained(folder)
    return folder


def test_it_computes_what_diffusers_does(folder) -> None:
    import diffusers

    theirs = diffusers.AutoencoderDC.from_pretrained(folder).eval()
    model = load_model(folder, device="cpu")
    assert (model.factor, model.latent_channels, model.edits) == (32, 8, False)
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        latents = theirs.encode(image * 2 - 1).latent
        decoded = theirs.decode(latents).sample / 2 + 0.5
    scale = theirs.config.scaling_factor
    torch.testing.assert_close(model.encode(image), latents * scale, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.decode(latents * scale), decoded, rtol=1e-4, atol=1e-5)


def test_a_protection_moves_its_latents(folder) -> None:
    model = load_model(folder, device="cpu", dtype="bfloat16")
    assert model.attack_dtype == torch.float32  # nobody measured it in bfloat16
    image = torch.full((1, 3, 64, 64), 128 / 255)
    made = EncoderProtection(
        budget="linf:8/255", steps=2, step_size=0.02, target="away", random_start=True
    )
    file = made(model, image, seeds=[0])
    assert not model.encode(file).equal(model.encode(image))


def test_it_has_no_variance(folder) -> None:
    with pytest.raises(UserError, match="needs the variance of a latent"):
        Protection.parse("pid").check_model(load_model(folder, device="cpu"))

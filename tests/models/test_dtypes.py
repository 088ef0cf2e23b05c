"""The dtypes of a model: their text, and what depends on them."""

import pytest
import torch

from brittle.errors import UserError
from brittle.models import load_model
from brittle.models.dtypes import dtypes_text, parse_dtypes
from brittle.trial.tasks import ModelIdentity


@pytest.mark.parametrize(
    ("text", "main", "of_vae"),
    [
        ("float16", torch.float16, torch.float32),
        ("float16:vae=bfloat16", torch.float16, torch.bfloat16),
    ],
)
def test_a_text_says_both_dtypes_and_is_written_again(text, main, of_vae):
    assert parse_dtypes(text) == (main, of_vae)
    model = load_model("embedded", device="cpu", dtype=text)
    assert (model.dtype, model.vae_dtype, model.precision) == (main, of_vae, text)


def test_a_manifest_of_former_versions_means_float32():
    assert dtypes_text("bfloat16", "") == dtypes_text("bfloat16", "float32") == "bfloat16"


@pytest.mark.parametrize("text", ["float12", "float16:vae=float12", ":vae=float16", ""])
def test_what_is_no_dtype_is_refused(text):
    with pytest.raises(UserError, match="Unknown dtype"):
        parse_dtypes(text)


def test_keys_know_an_autoencoders_own_dtype_and_stay_where_it_has_none():
    def keyed(text: str) -> tuple[str, str, int]:
        return ModelIdentity.of(load_model("embedded", device="cpu", dtype=text)).in_keys

    assert keyed("float32")[1] == "torch.float32"
    assert keyed("bfloat16")[1] == "torch.bfloat16"
    assert keyed("bfloat16:vae=bfloat16")[1] == "torch.bfloat16:vae=bfloat16"


def test_an_autoencoder_computes_in_its_own_dtype(small_sd):
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    exact, low = (
        load_model(small_sd, device="cpu", dtype=text)
        for text in ("float32", "float32:vae=bfloat16")
    )
    with torch.no_grad():
        latents, lower = exact.encode(picture), low.encode(picture)
    assert low.attack_dtype == torch.bfloat16
    assert lower.dtype == torch.float32
    assert 0 < (latents - lower).abs().max() < 0.05 * latents.abs().max()

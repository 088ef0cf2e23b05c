"""The dtypes of a model: their text, and what depends on them."""

import pytest
import torch

from brittle.errors import UserError
from brittle.models import load_model
from brittle.models.dtypes import Precision, precision_text
from brittle.trial.tasks import ModelIdentity

PARTS = ("denoiser", "vae", "text_encoder")


@pytest.mark.parametrize(
    ("text", "main", "of_vae", "compiled"),
    [
        ("float16", torch.float16, torch.float32, False),
        ("float16:vae=bfloat16", torch.float16, torch.bfloat16, False),
        ("float16:compiled", torch.float16, torch.float32, True),
        ("float32:vae=bfloat16:compiled", torch.float32, torch.bfloat16, True),
    ],
)
def test_a_text_says_how_a_model_computes_and_is_written_again(text, main, of_vae, compiled):
    assert Precision.parse(text) == (main, of_vae, compiled)
    model = load_model("embedded", device="cpu", dtype=text)
    assert (model.dtype, model.vae_dtype, str(model.precision)) == (main, of_vae, text)


def test_a_manifest_of_former_versions_means_float32():
    assert precision_text("bfloat16", "", False) == "bfloat16"
    assert precision_text("bfloat16", "float32", False) == "bfloat16"


@pytest.mark.parametrize(
    "text", ["float12", "float16:vae=float12", ":vae=float16", "", "float32:compiled:vae=float16"]
)
def test_what_is_no_dtype_is_refused(text):
    with pytest.raises(UserError, match="Unknown dtype"):
        Precision.parse(text)


def test_keys_know_an_autoencoders_own_dtype_and_stay_where_it_has_none():
    def keyed(text: str) -> tuple[str, str, int]:
        return ModelIdentity.of(load_model("embedded", device="cpu", dtype=text)).in_keys

    assert keyed("float32")[1] == "torch.float32"
    assert keyed("bfloat16")[1] == "torch.bfloat16"
    assert keyed("bfloat16:vae=bfloat16")[1] == "torch.bfloat16:vae=bfloat16"
    assert keyed("bfloat16:compiled")[1] == "torch.bfloat16:compiled"


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


def test_of_a_compiled_model_the_denoiser_alone_is(tiny_sd):
    model = load_model(tiny_sd, device="cpu", dtype="float32:compiled")
    compiled = {part: model.part(part)._compiled_call_impl is not None for part in PARTS}
    assert compiled == {"denoiser": True, "vae": False, "text_encoder": False}
    plain = load_model(tiny_sd, device="cpu", dtype="float32").part("denoiser")
    assert plain._compiled_call_impl is None


@pytest.mark.slow
def test_a_compiled_denoiser_predicts_what_it_does_otherwise(tiny_sd):
    latents = torch.rand(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    plain, compiled = (
        load_model(tiny_sd, device="cpu", dtype=text) for text in ("float32", "float32:compiled")
    )
    # torch's tracing without its code generation, which takes minutes
    compiled.part("denoiser").compile(backend="eager")
    found = [one.evaluate(latents, 500, one.embed(["night"] * 2)) for one in (plain, compiled)]
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-5)

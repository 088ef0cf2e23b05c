import socket

import pytest
import torch
from safetensors.torch import save_file

import brittle
from brittle.errors import UserError
from brittle.models import load_model
from brittle.models.known import KNOWN
from brittle.protections import Protection
from tests.models import taesd

COMMIT = "0123456789abcdef"


def snapshot(cache, name, files):
    """The folder of a model in a hub's cache, as a download leaves it."""
    folder = cache / f"models--{KNOWN[name].hub_id.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    for file, weights in files.items():
        path = folder / "snapshots" / COMMIT / file
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(weights, path)
    return folder / "snapshots" / COMMIT


def both_sides(**layout):
    """Both sides in one file, as published for FLUX.2: the decoder's clamp has no number."""
    found = {}
    for side, clamp in (("encoder", 0), ("decoder", 1)):
        for name, value in taesd.weights(side, **layout).items():
            number, _, rest = name.partition(".")
            found[f"{side}.layers.{int(number) - clamp}.{rest}"] = value
    return found


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and no network."""

    def unreachable(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    (tmp_path / "hub").mkdir()
    return tmp_path / "hub"


def test_a_pair_of_files_is_the_model_of_its_folder(cache):
    files = {
        f"taesd_{side}.safetensors": taesd.weights(side, channels=4, pooled=False)
        for side in ("encoder", "decoder")
    }
    folder = snapshot(cache, "sd1", files)
    named, of_folder = (load_model(name, device="cpu") for name in ("sd1", folder))
    assert (named.name, named.size, named.edits) == ("sd1", 512, False)
    assert named.revision == f"madebyollin/taesd@{COMMIT}"
    photo = torch.rand(1, 3, 64, 48, generator=torch.Generator().manual_seed(0))
    latents = named.encode(photo)
    assert torch.equal(latents, of_folder.encode(photo))
    assert named.decode(latents).shape == photo.shape


def test_both_sides_in_one_file(cache, tmp_path):
    layout = {"channels": 6, "pooled": True}
    snapshot(cache, "flux2", {"taef2.safetensors": both_sides(**layout)})
    apart = load_model(taesd.write(tmp_path / "apart", "taef2", **layout), device="cpu")
    model = load_model("flux2", device="cpu")
    assert (model.name, model.size, model.latent_channels) == ("flux2", 1024, 6)
    photo = torch.rand(1, 3, 64, 48, generator=torch.Generator().manual_seed(0))
    latents = apart.encode(photo)
    torch.testing.assert_close(model.encode(photo), latents, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.decode(latents), apart.decode(latents), rtol=1e-4, atol=1e-5)


def test_the_hub_id_is_the_same_model(cache):
    snapshot(cache, "flux2", {"taef2.safetensors": both_sides(channels=6, pooled=True)})
    assert load_model("madebyollin/taef2", device="cpu").name == "flux2"


def test_what_is_not_cached_is_one_sentence(cache):
    with pytest.raises(UserError, match="connect once to download it"):
        load_model("sdxl", device="cpu")
    with pytest.raises(UserError, match="madebyollin/taesd3"):
        brittle.fetch_models(["sd3"])
    with pytest.raises(UserError, match="Unknown model 'sd2': did you mean 'sd3'"):
        brittle.fetch_models(["sd2"])
    with pytest.raises(UserError, match="embedded comes with brittle"):
        brittle.fetch_models(["embedded"])


def test_half_a_download_is_not_the_model(cache):
    encoder = taesd.weights("encoder", channels=4, pooled=False)
    snapshot(cache, "sd1", {"taesd_encoder.safetensors": encoder})
    with pytest.raises(UserError, match=r"only partly in the cache .*taesd_decoder"):
        load_model("sd1", device="cpu")


def test_a_damaged_file_in_the_cache_is_not_the_model(cache):
    folder = snapshot(cache, "flux2", {})
    folder.mkdir(parents=True)
    (folder / "taef2.safetensors").write_bytes(b"half a download")
    assert f"in the cache, madebyollin/taef2@{COMMIT}" not in brittle.describe("models")
    with pytest.raises(UserError, match=r"taef2\.safetensors is damaged: delete it"):
        load_model("flux2", device="cpu")


def test_the_list_says_what_is_cached(cache):
    snapshot(cache, "flux2", {"taef2.safetensors": both_sides(channels=6, pooled=True)})
    said = brittle.describe("models")
    assert f"Here: in the cache, madebyollin/taef2@{COMMIT}." in said
    assert said.count("Here: not in the cache.") == len(KNOWN) - 1
    assert brittle.fetch_models(["flux2"]) == [f"flux2: madebyollin/taef2@{COMMIT}"]


def test_a_preset_that_names_known_models_fetches_nothing(cache):
    with pytest.raises(UserError, match="sd1 is not here yet: brittle models fetch sd1"):
        Protection.parse("encoder-away-everywhere")
    assert "Unavailable: encoder-ensemble: with_models" in " ".join(
        brittle.describe("protections").split()
    )


def test_a_preset_holds_known_models_by_their_content(cache):
    files = {
        f"taesd_{side}.safetensors": taesd.weights(side, channels=4, pooled=False)
        for side in ("encoder", "decoder")
    }
    folder = snapshot(cache, "sd1", files)
    preset = Protection.from_record({"name": "encoder-away-everywhere", "with_models": ["sd1"]})
    assert preset.with_models == (f"sd1#{load_model(folder, device='cpu').content_hash}",)
    photo = torch.full((1, 3, 32, 32), 0.2)
    model = load_model("sd1", device="cpu")
    assert not preset.model_copy(update={"steps": 2})(model, photo, seeds=[0]).equal(photo)

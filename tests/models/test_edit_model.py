import json
import shutil

import pytest
import torch

from brittle.errors import UserError
from brittle.models import load_model
from brittle.models.loading import default_device, default_dtype

IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def model(tiny_sd):
    return load_model(tiny_sd, device="cpu", dtype="float32")


def test_latents_are_the_mean_or_a_sample_of_the_distribution(model):
    noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        distribution = model.vae.encode(IMAGES * 2 - 1).latent_dist
        scale = model.vae.config.scaling_factor
        torch.testing.assert_close(model.encode(IMAGES), distribution.mean * scale)
        sampled = (distribution.mean + distribution.std * noise) * scale
        torch.testing.assert_close(model.encode(IMAGES, noise=noise), sampled)
        assert not torch.equal(model.encode(IMAGES), model.encode(IMAGES, noise=noise))


def test_the_embedded_autoencoder_has_one_latent(embedded, photos):
    assert not embedded.has_latent_distribution
    with torch.inference_mode():
        latents = embedded.encode(photos)
        noisy = embedded.encode(photos, noise=torch.ones_like(latents))
    assert torch.equal(latents, noisy)
    assert latents.shape == (2, embedded.latent_channels, 16, 16)


def test_a_model_has_a_range_of_sizes(embedded):
    assert (embedded.sizes, load_model("embedded").size) == ((128, 512), 512)
    photo = torch.rand(1, 3, 300, 640, generator=torch.Generator().manual_seed(0))
    shown = {size: tuple(embedded.at(size).fit(photo).shape[-2:]) for size in (128, 256, 512)}
    assert shown == {128: (64, 128), 256: (120, 256), 512: (240, 512)}
    assert embedded.at(256).fit(photo[..., :200]).shape[-2:] == (256, 168)
    small = photo[..., :160, :200]
    assert torch.equal(embedded.at(256).fit(small), small)


def test_another_size_shares_the_weights(embedded):
    larger = embedded.at(256)
    assert larger.vae is embedded.vae
    assert (larger.size, embedded.size, larger.at(None).size) == (256, 128, 512)
    assert larger.content_hash == embedded.content_hash


@pytest.mark.parametrize("size", [64, 1024, 500, 129])
def test_a_size_that_a_model_does_not_work_at_is_refused(embedded, size):
    with pytest.raises(UserError, match=f"128 to 512 px, in multiples of 8, and {size} px"):
        load_model("embedded", size=size)
    with pytest.raises(UserError, match="its own size is 512 px"):
        embedded.at(size)


def test_a_model_that_states_no_range_has_one_around_its_own(tiny_sd):
    model = load_model(tiny_sd)
    assert model.sizes == (model.size // 4, 2 * model.size)


def test_gradients_reach_the_image_and_no_parameter(embedded, photos):
    image = photos.clone().requires_grad_()
    embedded.decode(embedded.encode(image)).square().sum().backward()
    assert image.grad.isfinite().all()
    assert image.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in embedded.vae.parameters())


def test_each_distinct_prompt_is_computed_once(tiny_sd, monkeypatch):
    model = load_model(tiny_sd, device="cpu", dtype="float32")
    calls = []
    forward = type(model.part("text_encoder")).forward
    monkeypatch.setattr(
        type(model.part("text_encoder")),
        "forward",
        lambda self, *given, **named: calls.append(1) or forward(self, *given, **named),
    )
    first = model.embed(["", "", "night", "snow"])
    again = model.embed(["snow", "night"])
    assert len(calls) == 3
    assert torch.equal(first[[3, 2]], again)
    assert torch.equal(first[0], first[1])


def test_a_prompt_that_is_too_long_is_cut_and_says_so(model):
    long = "snow " * 75
    assert (model.reader.longest, model.reader.is_cut(long), model.reader.is_cut(long + "x")) == (
        77,
        False,
        True,
    )
    assert torch.equal(model.embed([long + "x"]), model.embed([long + "y"]))


def test_half_precision_parts_still_speak_float32(tiny_sd):
    half = load_model(tiny_sd, device="cpu", dtype="bfloat16")
    assert half.part("denoiser").dtype == half.part("text_encoder").dtype == torch.bfloat16
    assert half.vae.dtype == torch.float32
    with torch.inference_mode():
        latents = half.encode(IMAGES)
        output = half.evaluate(latents, 500, half.embed(["a", "b"]))
    assert latents.dtype == output.dtype == half.decode(latents).dtype == torch.float32
    low = load_model(tiny_sd, device="cpu", dtype="bfloat16", vae_dtype=torch.bfloat16)
    assert low.encode(IMAGES).dtype == torch.float32
    assert low.vae.dtype == torch.bfloat16


def test_released_parts_are_read_again(model):
    before = model.part("denoiser")
    model.release("denoiser")
    assert "denoiser" not in model._parts
    assert model.part("denoiser") is not before
    model.release()
    assert not model._parts


def test_the_content_hash_follows_the_contents(tiny_sd, tmp_path):
    def copy(name: str):
        return shutil.copytree(tiny_sd, tmp_path / name)

    def hash_of(folder) -> str:
        return load_model(folder).content_hash

    original = hash_of(tiny_sd)
    assert hash_of(copy("same")) == original
    weights = copy("weights")
    path = weights / "vae" / "diffusion_pytorch_model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    settings = copy("settings")
    path = settings / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"prediction_type": "v_prediction"}))
    assert len({original, hash_of(weights), hash_of(settings)}) == 3
    checker = copy("checker")
    shutil.rmtree(checker / "safety_checker")
    assert hash_of(checker) == original


def test_device_and_dtype_choose_themselves(tiny_sd):
    chosen = default_dtype(default_device())
    assert load_model("embedded").dtype == load_model(tiny_sd).dtype == chosen
    assert load_model(tiny_sd).device == default_device()
    assert load_model(tiny_sd, dtype="float16").dtype == torch.float16


ZEN, XEON, AMX = ("AMD EPYC", False), ("Intel Xeon", False), ("Intel Xeon", True)


@pytest.mark.parametrize(
    ("cpu", "limit", "expected"),
    [
        (ZEN, None, torch.bfloat16),
        (ZEN, "avx512_core_bf16", torch.bfloat16),
        (ZEN, "AVX512_CORE_AMX", torch.bfloat16),
        (ZEN, "AVX512_CORE_VNNI", torch.float32),
        (ZEN, "AVX2", torch.float32),
        (XEON, None, torch.float32),
        (AMX, None, torch.bfloat16),
        (AMX, "AVX10_1_512_AMX", torch.bfloat16),
        (AMX, "AVX512_CORE_BF16", torch.float32),
    ],
)
def test_a_cpu_takes_bfloat16_where_it_multiplies_it_faster(monkeypatch, cpu, limit, expected):
    name, amx = cpu
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": name}, raising=False)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    if limit:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert default_dtype(torch.device("cpu")) == expected


def test_an_old_torch_that_knows_nothing_of_the_cpu_takes_float32(monkeypatch):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "get_capabilities"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert default_dtype(torch.device("cpu")) == torch.float32


def test_a_gpu_takes_bfloat16_where_it_has_it_and_float32_without_rounding(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    for has, expected in ((True, torch.bfloat16), (False, torch.float16)):
        # A T4 or V100 says that it supports what it only imitates.
        supported = lambda including_emulation=True, has=has: including_emulation or has  # noqa: E731
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
        assert load_model("embedded", device="cuda").dtype == expected
        assert torch.backends.cudnn.allow_tf32
    load_model("embedded", device="cuda", dtype="float32")
    assert not torch.backends.cudnn.allow_tf32


def test_only_what_protections_follow_is_in_bfloat16(embedded, photos):
    half = load_model("embedded", device="cpu", dtype="bfloat16")
    assert (half.attack_dtype, embedded.attack_dtype) == (torch.bfloat16, torch.float32)
    assert torch.equal(half.encode(photos), embedded.encode(photos))
    attacked = half.encode_to_attack(photos)
    assert attacked.dtype == torch.float32
    assert not torch.equal(attacked, embedded.encode(photos))
    torch.testing.assert_close(attacked, embedded.encode(photos), rtol=0, atol=0.2)
    exact = embedded.encode_to_attack(photos)  # in another layout, which rounds otherwise
    torch.testing.assert_close(exact, embedded.encode(photos), rtol=0, atol=1e-4)
    assert half.at(128).encode_to_attack(photos).equal(attacked)


def test_an_autoencoder_with_a_distribution_is_attacked_in_its_own_dtype(tiny_sd):
    half = load_model(tiny_sd, device="cpu", dtype="bfloat16")
    assert half.attack_dtype == half.vae_dtype == torch.float32
    assert torch.equal(half.encode_to_attack(IMAGES), half.encode(IMAGES))

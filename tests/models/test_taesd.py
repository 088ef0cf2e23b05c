import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from brittle.errors import UserError
from brittle.models import load_model
from brittle.models.loading import EMBEDDED
from brittle.protections import EncoderProtection
from tests.models import taesd


def images() -> torch.Tensor:
    return torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    return taesd.write(tmp_path_factory.mktemp("pooled"), "taef", channels=6, pooled=True)


def by_hand(x: torch.Tensor, w: dict[str, torch.Tensor]) -> torch.Tensor:
    """The encoder written out operation by operation."""
    for number in range(15):
        n = f"{number}"
        if f"{n}.weight" in w:
            stride = 1 if f"{n}.bias" in w else 2
            x = functional.conv2d(x, w[f"{n}.weight"], w.get(f"{n}.bias"), stride, padding=1)
            continue
        if f"{n}.pool.0.weight" in w:
            y = functional.conv2d(x, w[f"{n}.pool.0.weight"])
            groups = y.reshape(len(y), 4, -1)
            spread = groups.var(2, correction=0, keepdim=True)
            groups = (groups - groups.mean(2, keepdim=True)) / (spread + 1e-5).sqrt()
            scale, shift = (w[f"{n}.pool.1.{k}"].view(1, -1, 1, 1) for k in ("weight", "bias"))
            y = (groups.view_as(y) * scale + shift).relu()
            x = x + functional.conv2d(y, w[f"{n}.pool.3.weight"])
        y = x
        for layer in (0, 2, 4):
            y = y.relu() if layer else y
            names = f"{n}.conv.{layer}.weight", f"{n}.conv.{layer}.bias"
            y = functional.conv2d(y, *(w[name] for name in names), padding=1)
        x = (x + y).relu()
    return x


def test_the_pooled_encoder_is_what_its_weights_say(pooled) -> None:
    model = load_model(pooled, device="cpu")
    assert (model.factor, model.latent_channels, model.edits) == (8, 6, False)
    expected = by_hand(images(), taesd.weights("encoder", channels=6, pooled=True))
    torch.testing.assert_close(model.encode(images()), expected, rtol=1e-4, atol=1e-5)
    assert model.decode(model.encode(images())).shape == images().shape


class Residual(torch.nn.Module):
    """A block, written anew."""

    def __init__(self, width: int) -> None:
        super().__init__()
        first, second, third = (torch.nn.Conv2d(width, width, 3, padding=1) for _ in range(3))
        relu = torch.nn.ReLU()
        self.conv = torch.nn.Sequential(first, relu, second, relu, third)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x + self.conv(x)).relu()


def deep(side: str) -> torch.nn.Sequential:
    """A side of an autoencoder whose latents cover 32 pixels: as for Sana, but narrower."""

    def conv(before: int, after: int, stride: int = 1, bias: bool = True) -> torch.nn.Module:
        return torch.nn.Conv2d(before, after, 3, stride, padding=1, bias=bias)

    torch.manual_seed(0)
    if side == "encoder":
        layers = [conv(3, 4, 2), torch.nn.ReLU(), conv(4, 8, 2), torch.nn.ReLU(), Residual(8)]
        for _ in range(3):
            layers += [conv(8, 8, 2, bias=False), *(Residual(8) for _ in range(3))]
        return torch.nn.Sequential(*layers, conv(8, 6))
    layers = [torch.nn.Identity(), conv(6, 16), torch.nn.ReLU()]
    for before, after in ((16, 12), (12, 8), (8, 8), (8, 8), (8, 8)):
        layers += [*(Residual(before) for _ in range(3)), torch.nn.Upsample(scale_factor=2)]
        layers += [conv(before, after, bias=False)]
    return torch.nn.Sequential(*layers, Residual(8), conv(8, 3))


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_an_encoder_may_begin_with_rectified_convolutions(suffix, tmp_path) -> None:
    encoder, decoder = deep("encoder"), deep("decoder")
    for side, network in (("encoder", encoder), ("decoder", decoder)):
        path = tmp_path / f"deep_{side}.{suffix}"
        (torch.save if suffix == "pth" else save_file)(network.state_dict(), path)
    model = load_model(tmp_path / f"deep_encoder.{suffix}", device="cpu")
    assert (model.factor, model.latent_channels) == (32, 6)
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        latents = encoder(image)
        decoded = decoder((latents / 3).tanh() * 3)
    torch.testing.assert_close(model.encode(image), latents, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.decode(latents), decoded, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("lost", ["1.", "4.", "6.", "11."])
def test_an_encoder_that_lost_a_block_is_refused(lost, tmp_path) -> None:
    kept = taesd.weights("encoder", channels=4, pooled=False)
    kept = {name: one for name, one in kept.items() if not name.startswith(lost)}
    torch.save(kept, tmp_path / "some_encoder.pth")
    with pytest.raises(UserError, match=f"its layer {lost}? has no weights"):
        load_model(tmp_path / "some_encoder.pth", device="cpu")


def test_a_taesd_is_diffusers_tiny_autoencoder(tmp_path) -> None:
    import diffusers

    folder = taesd.write(tmp_path, "taesd", channels=4, pooled=False)
    model = load_model(folder / "taesd_encoder.pth", device="cpu")
    width = {"encoder_block_out_channels": (8,) * 4, "decoder_block_out_channels": (8,) * 4}
    theirs = diffusers.AutoencoderTiny(**width, latent_channels=4)
    for side, part in (("encoder", theirs.encoder), ("decoder", theirs.decoder)):
        # diffusers leaves the decoder's parameterless clamp out of the numbering
        offset = 1 if side == "decoder" else 0
        named = {
            f"layers.{int(number) - offset}.{rest}": value
            for name, value in taesd.weights(side, channels=4, pooled=False).items()
            for number, _, rest in [name.partition(".")]
        }
        part.load_state_dict(named)
    with torch.no_grad():
        latents = theirs.encode(images() * 2 - 1).latents
        decoded = theirs.decode(latents).sample / 2 + 0.5
    torch.testing.assert_close(model.encode(images()), latents, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.decode(latents), decoded, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["embedded", "random"])
def test_diffusers_tiny_autoencoder_is_built_without_diffusers(name, tmp_path) -> None:
    import diffusers

    folder = EMBEDDED / "vae"
    if name == "random":
        folder = tmp_path
        widths = {f"{side}_block_out_channels": (8, 8, 8) for side in ("encoder", "decoder")}
        blocks = {"num_encoder_blocks": (0, 2, 1), "num_decoder_blocks": (1, 0, 2)}
        theirs = diffusers.AutoencoderTiny(**widths, **blocks, scaling_factor=0.5)
        theirs.save_pretrained(folder)
    theirs = diffusers.AutoencoderTiny.from_pretrained(folder)
    theirs.decoder.to(memory_format=torch.channels_last)
    model = load_model(folder, device="cpu")
    with torch.no_grad():
        latents = theirs.encode(images() * 2 - 1).latents
        decoded = theirs.decode(latents).sample / 2 + 0.5
    scale = theirs.config.scaling_factor
    # Not to the bit: a CPU's kernels round by where the weights lie in memory.
    torch.testing.assert_close(model.encode(images()), latents * scale, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.decode(latents * scale), decoded, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "lost",
    ["encoder.layers.0.bias", "encoder.layers.1.", "decoder.layers.2.", "decoder.layers.6.weight"],
)
def test_a_tiny_autoencoder_that_lacks_weights_is_refused(lost, tmp_path) -> None:
    shutil.copytree(EMBEDDED / "vae", tmp_path / "vae")
    path = tmp_path / "vae" / "diffusion_pytorch_model.safetensors"
    kept = {name: one for name, one in load_file(path).items() if not name.startswith(lost)}
    save_file(kept, path)
    with pytest.raises(UserError, match=r"its autoencoder \(vae\) can't be read: .*"):
        load_model(tmp_path / "vae", device="cpu").encode(images())


def test_safetensors_pth_and_folder_are_the_same_model(pooled, tmp_path) -> None:
    single = tmp_path / "some_encoder.safetensors"
    save_file(taesd.weights("encoder", channels=6, pooled=True), single)
    expected = load_model(pooled, device="cpu").encode(images())
    for name in (pooled / "taef_encoder.pth", single):
        latents = load_model(name, device="cpu").encode(images())
        torch.testing.assert_close(latents, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(UserError, match="without its decoder"):
        load_model(single, device="cpu").decode(expected)


def test_it_refuses_to_edit_in_a_sentence(pooled) -> None:
    from brittle import edit

    with pytest.raises(UserError, match="autoencoder alone"):
        edit(images(), "rain", model=load_model(pooled, device="cpu"))


def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path) -> None:
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    path = tmp_path / "evil_encoder.pth"
    path.write_bytes(pickle.dumps({"0.weight": Evil()}))
    with pytest.raises(UserError, match=r"no encoder in TAESD's format .it holds other things"):
        load_model(path, device="cpu")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content", [{"0.weight": torch.zeros(3)}, {"conv.weight": torch.zeros(3)}, [1, 2], {}]
)
def test_other_weights_are_refused(tmp_path, content) -> None:
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(UserError, match="TAESD's format"):
        load_model(tmp_path / "odd.pth", device="cpu")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x02N.", b"PK\x03\x04" + bytes(60)])
def test_files_that_are_no_weights_at_all_are_refused(tmp_path, content) -> None:
    (tmp_path / "odd.pth").write_bytes(content)
    with pytest.raises(UserError, match="TAESD's format"):
        load_model(tmp_path / "odd.pth", device="cpu")


def test_a_decoder_alone_is_refused(pooled) -> None:
    with pytest.raises(UserError, match="is a decoder"):
        load_model(pooled / "taef_decoder.pth", device="cpu")


def test_an_ensemble_misleads_both_encoders(pooled, tmp_path) -> None:
    other = taesd.write(tmp_path / "other", "taesd", channels=4, pooled=False)
    (a, b) = (load_model(folder, device="cpu") for folder in (pooled, other))
    photo = (images() * 255).round() / 255
    alone = EncoderProtection(steps=6)
    both = EncoderProtection(steps=6, with_models=(str(other),))
    assert both.with_models[0].startswith(f"{other}#")
    assert EncoderProtection.from_record(both.record()) == both

    def left(protection: EncoderProtection, model) -> float:
        """The share of the latent's distance from gray that is left, on ``model``."""
        protected = protection(a, photo, seeds=[1, 2])
        gray = model.encode(torch.full_like(photo, 0.5))
        away = [(model.encode(x) - gray).norm() for x in (protected, photo)]
        return float(away[0] / away[1])

    assert left(both, a) < 1
    assert left(both, b) < left(alone, b)


def test_a_model_that_changed_since_it_was_recorded_is_refused(pooled, tmp_path) -> None:
    folder = taesd.write(tmp_path, "taesd", channels=4, pooled=False)
    both = EncoderProtection(steps=1, with_models=(str(folder),))
    torch.save(taesd.weights("encoder", channels=5, pooled=False), folder / "taesd_encoder.pth")
    photo = (images() * 255).round() / 255
    with pytest.raises(UserError, match="isn't the one that was recorded"):
        both(load_model(pooled, device="cpu"), photo, seeds=[1, 2])

import sys
import types

import numpy as np
import pytest
import torch
from skimage import data
from skimage.metrics import peak_signal_noise_ratio
from typer.testing import CliRunner

from brittle import appearance
from brittle.budgets import BEYOND, STRENGTHS, read_budget
from brittle.budgets.perceptual import over_tiles
from brittle.cli import app
from brittle.errors import UserError
from brittle.images import read_photo, write_image


@pytest.fixture
def pair(photos) -> tuple[torch.Tensor, torch.Tensor]:
    """A photo and the same with a square moved by 5 levels up or down."""
    photo = photos[:1]
    moved = torch.zeros_like(photo)
    moved[..., 30:60, 40:80] = 5 / 255
    moved[:, 1] *= -1
    return photo, ((photo + moved).clamp(0, 1) * 255).round() / 255


def test_the_numbers_are_those_of_the_pair(pair) -> None:
    found = appearance.measure(*pair)
    assert list(found) == ["largest change", "PSNR", "perceptual", "SSIM", "FLIP", "ST-LPIPS"]
    assert found["largest change"] == pytest.approx(5, abs=1e-3)
    expected = peak_signal_noise_ratio(*(x.numpy() for x in pair), data_range=1)
    assert found["PSNR"] == pytest.approx(expected, abs=1e-3)
    assert 0.9 < found["SSIM"] < 1
    assert found["perceptual"] > 0
    nothing = appearance.measure(pair[0], pair[0])
    assert [nothing[name] for name in ("largest change", "SSIM", "perceptual")] == pytest.approx(
        [0, 1, 0], abs=1e-6
    )


def test_the_scale_is_that_of_the_strengths() -> None:
    assert appearance.looks(0) == "nothing to see"
    for name, strength in STRENGTHS.items():
        assert appearance.looks(read_budget(name).radius) == strength.looks
    strongest = max(read_budget(name).radius for name in STRENGTHS)
    assert appearance.looks(1.01 * strongest) == BEYOND


def test_blotches_are_taken_for_more_visible_than_noise_of_their_psnr() -> None:
    sky = torch.from_numpy(data.rocket()[20:148, :128].copy()).permute(2, 0, 1)[None] / 255
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 3, 128, 128, generator=generator)
    blotches = torch.nn.functional.interpolate(noise[..., ::8, ::8], (128, 128), mode="bicubic")
    distances = []
    for delta in (noise, blotches):
        delta *= 0.012 / delta.square().mean().sqrt()
        shown = ((sky + delta).clamp(0, 1) * 255).round() / 255
        found = appearance.measure(sky, shown)
        assert found["PSNR"] == pytest.approx(38.4, abs=0.3)
        distances.append(found["perceptual"])
    assert distances[1] > 1.15 * distances[0]


def test_a_line_says_what_was_spent_and_how_it_looks(pair) -> None:
    found = appearance.measure(*pair)
    said = appearance.spent(found)
    assert said.startswith(f"{found['PSNR']:.1f} dB, at most 5 of 255 levels, perceptual distance")
    assert said.endswith(appearance.looks(found["perceptual"]))


def test_where_the_distance_cant_be_had_the_line_says_so(pair) -> None:
    found = appearance.measure(*(image[..., 30:50, 40:60] for image in pair))
    assert "how visible it is can't be said: EfficientNet needs" in appearance.spent(found)
    assert "at 100 %" not in appearance.in_words(found)


def test_a_large_picture_is_measured_in_tiles(monkeypatch) -> None:
    photo = torch.from_numpy(data.coffee()[:320, :600].copy()).permute(2, 0, 1)[None] / 255
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    moved = ((photo + 0.02 * noise).clamp(0, 1) * 255).round() / 255
    whole = appearance.measure(photo, moved)
    monkeypatch.setattr("brittle.budgets.perceptual.TILE", 256)
    seen = []
    over_tiles(lambda x, y: seen.append(x.shape[-2:]) or torch.zeros(1), photo, moved)
    assert seen == [(160, 200)] * 6
    tiled = appearance.measure(photo, moved)
    assert tiled["perceptual"] == pytest.approx(whole["perceptual"], rel=0.05)
    assert tiled["SSIM"] == pytest.approx(whole["SSIM"], rel=0.02)


def test_other_sizes_are_refused(pair) -> None:
    with pytest.raises(UserError, match="128 x 128 and 96 x 128"):
        appearance.measure(pair[0], pair[1][..., :96])


def test_flip_is_asked_for_as_its_package_wants_it(pair, monkeypatch) -> None:
    asked = []

    def evaluate(reference, test, kind, **options):
        asked.append((reference, test, kind))
        return None, 0.125, {}

    fake = types.ModuleType("flip_evaluator")
    fake.evaluate = evaluate
    fake.__spec__ = types.SimpleNamespace(name="flip_evaluator")
    monkeypatch.setitem(sys.modules, "flip_evaluator", fake)
    assert appearance.flip(*pair) == 0.125
    ((reference, test, kind),) = asked
    assert kind == "LDR"
    assert reference.shape == (128, 128, 3)
    assert np.array_equal(test, pair[1][0].permute(1, 2, 0).numpy())


def test_without_flip_it_says_how_to_get_it(pair, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install" in appearance.flip(*pair)


def test_the_difference_is_amplified_on_gray(pair) -> None:
    shown = appearance.difference(*pair, gain=10) * 255
    assert shown[0, :, 0, 0].tolist() == pytest.approx([128] * 3, abs=1)
    assert shown[0, 0, 45, 60] == pytest.approx(127.5 + 50, abs=1)
    assert shown[0, 1, 45, 60] == pytest.approx(127.5 - 50, abs=1)


@pytest.mark.parametrize("gain", [float("inf"), float("nan"), -1.0])
def test_a_gain_that_is_no_number_is_refused(pair, gain) -> None:
    with pytest.raises(UserError, match="name a finite number"):
        appearance.difference(*pair, gain=gain)


def test_the_command_writes_the_picture_and_the_numbers(pair, tmp_path) -> None:
    for name, image in zip(("a.png", "b.png"), pair, strict=True):
        write_image(tmp_path / name, image)
    paths = [str(tmp_path / name) for name in ("a.png", "b.png", "added.png")]
    done = CliRunner().invoke(app, ["visibility", *paths[:2], "-o", paths[2], "--gain", "4"])
    assert done.exit_code == 0, done.output
    assert "5 of 255 levels" in done.output
    assert appearance.looks(appearance.measure(*pair)["perceptual"]) in done.output
    written = read_photo(tmp_path / "added.png").image
    assert torch.equal(written, appearance.difference(*pair, gain=4))

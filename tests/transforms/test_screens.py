import io

import numpy as np
import pytest
import torch
from PIL import Image

from brittle.component import registry
from brittle.images import from_bytes, to_bytes
from brittle.transforms import Screenshot, Transform

PRESETS = sorted(name for name, one in registry("transform").presets.items() if one.of == "chain")


def test_a_screenshot_is_made_of_pillows_steps(real):
    received = Screenshot(scale=1.5, gamma=1.1, quality=85, subsampling="4:4:4").apply(real[:1])
    shown = np.asarray(
        Image.fromarray(to_bytes(real)[0]).resize((304, 225), Image.Resampling.BILINEAR)
    )
    file = io.BytesIO()
    captured = np.rint(255 * (shown / 255) ** 1.1).astype(np.uint8)
    Image.fromarray(captured).save(file, "JPEG", quality=85, subsampling="4:4:4")
    with Image.open(file) as picture:
        theirs = from_bytes(np.array(picture)[None])
    # A value at half a level may be rounded to either side by float32.
    assert received.shape == theirs.shape
    assert ((received - theirs).abs() * 255).mean() < 0.05


def test_a_screenshots_mask_and_size(real):
    screenshot = Screenshot(scale=1.5)
    received = screenshot.apply(real)
    assert received.shape[-2:] == (225, 304)
    assert screenshot.geometry.undo(received).shape == real.shape
    assert screenshot.geometry.valid(received).shape == (2, 1, 225, 304)
    mask = torch.zeros(1, 1, 150, 203)
    mask[..., :75, :] = 1
    assert screenshot.geometry.move_mask(mask).mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_say_that_they_are_modelled_and_spell_out_their_chain(name, real):
    known = registry("transform").presets[name]
    assert known.source.startswith("Modelled, not measured.")
    assert "assumption" in known.source
    preset = Transform.parse(name)
    assert Transform.parse(str(preset)) == preset
    assert len(preset.steps) >= 2
    received = preset.apply(real[:1])
    assert (preset.surrogate(real[:1]) - received).square().mean() < 1e-3


def test_uploads_reduce_what_is_larger_alone():
    large = torch.rand(1, 3, 600, 1200, generator=torch.Generator().manual_seed(0))
    assert Transform.parse("upload-1080").apply(large).shape[-2:] == (540, 1080)
    assert Transform.parse("upload-2048").apply(large).shape == large.shape


def test_presets_chain_with_others():
    chain = Transform.parse("upload-1080+flip")
    assert str(chain) == ("resize:kernel=lanczos,back=false,long_side=1080+jpeg:quality=80+flip")

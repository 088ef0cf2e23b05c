"""What processing a photo explains of a change, and what it doesn't."""

import numpy as np
import pytest
import torch

from brittle.images import quantise
from brittle.protections import Placebo, Protection, placebo
from brittle.protections.processing import processed
from brittle.record.arms import NOISES

import processings  # isort: skip  (benchmarks/, put on the path by tests/conftest.py)


def picture(image):
    return processings.rounded(255 * image[0].permute(1, 2, 0).numpy())


def image(pixels):
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def levels(one):
    return (one[0] * 255).round()


def done(photo, name):
    process = processings.UNPROTECTED[name]
    return image(process(picture(photo), np.random.default_rng(1)))


@pytest.mark.parametrize(
    "name",
    [
        *("sharpening", "tone curve", "gamma 0.8", "vignette", "colour cast", "saturation"),
        *("half size and back", "denoising"),
    ],
)
@pytest.mark.parametrize("row", [0, 1])
def test_a_processing_is_explained(name, row, photos):
    photo = photos[row : row + 1]
    change = levels(done(photo, name)) - levels(photo)
    rest = change - processed(levels(photo), change)
    assert rest.square().sum() < 0.2 * change.square().sum()


def test_the_same_is_explained_wherever_the_pictures_lie(photos):
    photo = quantise(0.2 + 0.2 * photos[1:])  # flat: its powers are nearly dependent
    change = levels(attacked(done(photo, "denoising"), 2)) - levels(photo)
    found = processed(levels(photo), change)
    for at in range(1, 8):  # other alignments, as other runs have
        memory = torch.empty(at + 2 * change.numel())
        start, delta = (memory[at:].split(change.numel())[i].view_as(change) for i in (0, 1))
        start.copy_(levels(photo))
        delta.copy_(change)
        assert torch.equal(processed(start, delta), found)


def attacked(photo, strength=12):
    sign = torch.rand(photo.shape, generator=torch.Generator().manual_seed(1)).sub(0.5).sign()
    return quantise((photo + sign * strength / 255).clamp(0, 1))


@pytest.mark.parametrize("row", [0, 1])
def test_a_perturbation_is_none(row, photos):
    photo = photos[row : row + 1]
    assert processed(levels(photo), levels(attacked(photo)) - levels(photo)) is None
    assert processed(levels(photo), torch.zeros(3, 128, 128)) is None
    white = torch.ones_like(photo)
    assert processed(levels(white), levels(attacked(white)) - levels(white)) is None


@pytest.mark.parametrize("kind", NOISES)
def test_a_placebo_is_processed_as_the_file_was_and_has_the_size_of_the_rest(kind, photos):
    photo = quantise(photos[:1] * 0.6 + 0.2)
    bright = done(photo, "gamma 0.8")
    drawn = Placebo.parse(kind).draw(photo, attacked(bright), seeds=[1])
    left = levels(drawn) - levels(bright)
    assert left.square().mean().sqrt() == pytest.approx(12, rel=0.05)
    assert (levels(drawn) - levels(photo)).square().mean().sqrt() > 15


@pytest.mark.parametrize("kind", NOISES)
def test_what_brittle_makes_is_no_processing(kind, photos, embedded):
    protection, photo = Protection.parse("dct-shield:steps=1"), photos[:1]
    protected = protection(embedded, photo, seeds=[0])
    change = levels(protected) - levels(photo)
    assert processed(levels(photo), change) is not None

    def likeness(of):
        placebo = Placebo.from_record({"name": kind, "of": of})
        drawn = levels(placebo.draw(photo, protected, seeds=[1])) - levels(photo)
        return float((drawn * change).sum() / (drawn.norm() * change.norm()))

    assert abs(likeness(protection)) < 0.1
    assert likeness(None) > 0.3


def test_all_draws_of_a_file_share_what_was_found(photos, monkeypatch):
    asked = []
    monkeypatch.setattr(placebo, "processed", lambda *of: asked.append(of) or processed(*of))
    placebo.CHANGES.forget()
    photo = photos[:1]
    for count, file in enumerate((done(photo, "gamma 0.8"), attacked(photo)), start=1):
        drawn = [Placebo.parse(kind).draw(photo, file, seeds=[seed])
                 for kind in NOISES for seed in (1, 2)]  # fmt: skip
        assert len(asked) == count
        placebo.CHANGES.forget()
        assert torch.equal(drawn[0], Placebo.parse(NOISES[0]).draw(photo, file, seeds=[1]))
        asked.pop()

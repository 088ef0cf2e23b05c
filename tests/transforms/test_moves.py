import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from scipy import ndimage
from torch.nn import functional

from brittle.images import from_bytes, to_bytes
from brittle.transforms import Chain, Crop, Flip, Perspective, Resize, Rotate, Shift
from brittle.transforms.moves import turn


def test_flip(real):
    assert np.array_equal(to_bytes(Flip().apply(real)), to_bytes(real)[:, :, ::-1])
    (levels,) = to_bytes(real[:1])
    assert np.array_equal(Flip().on_levels(levels, seed=None), levels[:, ::-1])
    assert torch.equal(Flip().geometry.undo(Flip().apply(real)), real)


@pytest.mark.parametrize("quarters", [-4, -1, 0, 1, 2, 3, 4])
def test_quarter_turns_are_exact_and_turn_the_canvas(real, quarters):
    rotate = Rotate(degrees=90 * quarters)
    received = rotate.apply(real)
    assert np.array_equal(to_bytes(received), np.rot90(to_bytes(real), quarters, (1, 2)))
    assert torch.equal(rotate.geometry.undo(received), real)
    assert rotate.geometry.valid(received).all()


def test_positive_is_counter_clockwise():
    image = torch.zeros(1, 3, 64, 64)
    image[..., 30:34, 50:60] = 1  # at three o'clock
    for degrees in (90, 80, 100):
        received = Rotate(degrees=degrees).apply(image)[0, 0]
        down, across = (
            (received * torch.arange(64.0)[:, None]).sum(),
            (received * torch.arange(64.0)).sum(),
        )
        assert down / received.sum() < 15  # at twelve
        assert 25 < across / received.sum() < 39


@pytest.mark.parametrize("degrees", [5, -5, 37.5, 183])
def test_rotation_is_pillows(real, degrees):
    rotate = Rotate(degrees=degrees)
    received = rotate.apply(real)
    for ours, levels, valid in zip(
        to_bytes(received), to_bytes(real), rotate.geometry.valid(received), strict=True
    ):
        theirs = np.asarray(Image.fromarray(levels).rotate(degrees, Image.Resampling.BILINEAR))
        inside = valid[0].numpy() == 1
        # Pillow cuts where we round: at most a level.
        assert np.abs(ours.astype(int) - theirs)[inside].max() <= 1


@pytest.mark.parametrize("degrees", [5, 37.5, -120])
def test_rotation_is_scipys(real, degrees):
    rotate = Rotate(degrees=degrees)
    ours = rotate.surrogate(real)
    theirs = ndimage.rotate(real.double().numpy(), degrees, axes=(2, 3), reshape=False, order=1)
    inside = (rotate.geometry.valid(ours) == 1).expand_as(ours).numpy()
    # The sampling places are float32, 1e-5 px apart at most.
    assert np.abs(ours.numpy() - theirs)[inside].max() < 1e-3


@pytest.mark.parametrize("degrees", [5, -30])
def test_validity_is_where_only_the_photo_shows(real, degrees):
    rotate = Rotate(degrees=degrees)
    black, white = (Rotate(degrees=degrees, fill=fill).apply(real) for fill in (0, 1))
    # A level may differ where a value lies between two of them.
    untouched = ((black - white).abs() < 1.5 / 255).all(1, keepdim=True)
    valid = rotate.geometry.valid(black)
    assert not (valid.bool() & ~untouched).any()
    assert (valid.bool() == untouched).float().mean() > 0.98
    assert 0.5 < valid.mean() < 0.98


def test_what_comes_from_outside_has_the_fill(real):
    received = Rotate(degrees=30, fill="128/255").apply(real)
    assert (received[..., 0, 0] == 128 / 255).all()
    assert (Rotate(degrees=30).apply(real)[..., 0, 0] == 0).all()
    for view in (Rotate(degrees=30, fill=1), Perspective(yaw=-30, pitch=20, fill=1)):
        # Else what came from outside would count as the photo.
        assert (view.geometry.undo(view.geometry.valid(real)).flatten(1).amin(1) == 0).all()
        assert (view.geometry.undo(torch.ones_like(real)).flatten(1).amin(1) == 0).all()


@pytest.mark.parametrize(
    "transform",
    [
        Shift(right=32, down=-16),
        Crop(left=32),
        Crop(left=32, bottom=16, back=True),
        Chain(steps=(Shift(right=32), Flip())),
        Chain(steps=(Resize(factor=0.5, back=False), Crop(left=16))),
    ],
    ids=str,
)
@pytest.mark.parametrize("height", [32, 40])
def test_a_small_edit_of_a_large_photo_moves_back_by_what_the_photo_moved(transform, height):
    photo = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    photo = functional.interpolate(photo, (160, 128), mode="bilinear")
    received = transform.apply(photo)
    # An editor's own size, at which a margin of 32 px of the photo is one of 8.
    width = round(received.shape[-1] / 4)
    edited = functional.interpolate(received, (height, width), mode="bilinear", antialias=True)
    seen = functional.interpolate(photo, (40, 32), mode="bilinear", antialias=True)
    restored = transform.geometry.restore(edited, size=(160, 128), shape=(40, 32))
    valid = transform.geometry.valid_of(edited, size=(160, 128))
    shown = transform.geometry.restore(valid, size=(160, 128), shape=(40, 32)) > 1 - 1e-3
    assert 0.5 < shown.float().mean() < 0.95
    assert (restored - seen).abs()[shown.expand_as(seen)].mean() < 0.03


def test_masks_turn_like_pictures():
    mask = torch.zeros(1, 1, 60, 80)
    mask[..., 10:30, 20:50] = 1
    moved = Rotate(degrees=20).geometry.move_mask(mask)
    picture = Image.fromarray((mask[0, 0] * 255).byte().numpy())
    theirs = from_bytes(np.array(picture.rotate(20, Image.Resampling.NEAREST))[None, ..., None])
    assert (moved != theirs).float().mean() < 0.005  # pixels whose centre falls on an edge
    assert moved.sum().item() == pytest.approx(mask.sum().item(), rel=0.02)


def test_rotation_passes_gradients():
    image = torch.rand(1, 3, 9, 12, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Rotate(degrees=25, fill=0.5).surrogate, image)


def test_turning_there_and_back_loses_little(real):
    smooth = torch.nn.functional.avg_pool2d(real, 7, 1, 3)
    back = turn(turn(smooth, 10), -10)
    inside = (slice(None), slice(None), slice(40, -40), slice(40, -40))
    assert (back - smooth)[inside].abs().max() < 0.03


@pytest.mark.parametrize("degrees", [361, -361, float("nan"), float("inf"), "left"])
def test_impossible_angles(degrees):
    with pytest.raises(ValidationError):
        Rotate(degrees=degrees)


@pytest.mark.parametrize("fill", [-0.1, 1.1, float("nan"), "black"])
def test_impossible_fills(fill):
    with pytest.raises(ValidationError):
        Rotate(degrees=5, fill=fill)


@pytest.mark.parametrize(("right", "down"), [(3, 5), (-4, 2), (0, -7), (-64, -64)])
def test_shifts_are_rolls_with_black_coming_in(real, right, down):
    shift = Shift(right=right, down=down)
    received = shift.apply(real)
    rolled = torch.roll(real, (down, right), (-2, -1))
    inside = shift.geometry.valid(received)
    assert torch.equal(received, rolled * inside)
    assert inside.sum() == 2 * (150 - abs(down)) * (203 - abs(right))
    kept = shift.geometry.undo(inside)
    assert torch.equal(shift.geometry.undo(received), real * kept)
    assert torch.equal(shift.geometry.move_mask(kept), inside)


def test_a_shift_moves_the_codecs_grid(real):
    from brittle.transforms import Jpeg

    jpeg, shift = Jpeg(quality=50), Shift(right=4, down=4)
    moved = shift.geometry.undo(jpeg.apply(shift.apply(real)))
    inside = (slice(None), slice(None), slice(8, -8), slice(8, -8))
    assert (moved - jpeg.apply(real))[inside].abs().mean() > 0.005

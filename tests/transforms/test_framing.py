import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from skimage.transform import ProjectiveTransform, warp

from brittle.errors import UserError
from brittle.images import to_bytes
from brittle.transforms import Crop, Perspective


def test_a_crop_is_pillows(real):
    received = to_bytes(Crop(left=3, top=5, right=7, bottom=11).apply(real))
    stretched = to_bytes(Crop(left=3, top=5, right=7, bottom=11, back=True).apply(real))
    for levels, cut, back in zip(to_bytes(real), received, stretched, strict=True):
        theirs = Image.fromarray(levels).crop((3, 5, 203 - 7, 150 - 11))
        assert np.array_equal(np.asarray(theirs), cut)
        assert np.array_equal(np.asarray(theirs.resize((203, 150), Image.BICUBIC)), back)


@pytest.mark.parametrize("back", [False, True])
def test_what_was_cut_goes_back_to_its_place(real, back):
    crop = Crop(left=10, bottom=20, back=back, kernel="lanczos")
    undone = crop.geometry.undo(crop.apply(real))
    assert undone.shape == real.shape
    assert (undone[..., :10] == 0).all()
    assert (undone[..., -20:, :] == 0).all()
    inside = (undone - real)[..., :-20, 10:].abs() * 255
    assert inside.mean() < (3 if back else 1e-6)


def test_masks_are_cut_along(real):
    mask = torch.zeros(1, 1, 150, 203)
    mask[..., 20:40, 30:60] = 1
    moved = Crop(left=10, top=5).geometry.move_mask(mask)
    assert moved.shape == (1, 1, 145, 193)
    assert moved[..., 15:35, 20:50].all()
    assert moved.sum() == mask.sum()
    assert Crop(left=10, top=5, back=True).geometry.move_mask(mask).shape == mask.shape


def test_impossible_crops(real):
    with pytest.raises(ValidationError, match="say how much to cut"):
        Crop()
    with pytest.raises(ValidationError):
        Crop(left=-1)
    with pytest.raises(UserError, match="leaves nothing of a photo of 203 × 150 px: cut less"):
        Crop(top=100, bottom=50).apply(real)


@pytest.mark.parametrize("angles", [(8, 4), (-20, 0), (0, 15), (30, -25)])
def test_perspective_is_scikit_images(real, angles):
    view = Perspective(yaw=angles[0], pitch=angles[1], fill=0.5)
    ours = view.surrogate(real[:1])
    # From pixel indices to places from the centre, and back.
    centre = np.array([[1, 0, 101], [0, 1, 74.5], [0, 0, 1]])
    matrix = centre @ view.matrix(150, 203).numpy() @ np.linalg.inv(centre)
    theirs = warp(
        real[0].permute(1, 2, 0).double().numpy(),
        ProjectiveTransform(matrix).inverse,
        order=1,
        cval=0.5,
    )
    inside = (view.geometry.valid(real[:1])[0, 0] == 1).numpy()
    assert 0.4 < inside.mean() < 1
    apart = np.abs(ours[0].permute(1, 2, 0).numpy() - theirs)
    assert apart[inside].max() < 2e-3
    assert apart.mean() < 2e-3


def test_perspective_is_a_cameras():
    view = Perspective(yaw=30, distance=2)
    away = 2 * 200.0
    # The middle of the right side, 100 px out, turned towards a camera that is 400 px away.
    turn = np.radians(30)
    seen = 100 * np.cos(turn) * away / (away - 100 * np.sin(turn))
    place = view.matrix(100, 200).numpy() @ [100, 0, 1]
    assert place[0] / place[2] == pytest.approx(seen)
    corner = view.matrix(100, 200).numpy() @ [100, 50, 1]
    assert corner[1] / corner[2] > 50 > -50 * -1 * away / (away + 50)


def test_perspective_is_undone_and_masks_follow(real):
    view = Perspective(yaw=10, pitch=-6)
    smooth = torch.nn.functional.avg_pool2d(real, 7, 1, 3)
    back = view.geometry.undo(view.surrogate(smooth))
    assert (back - smooth)[..., 20:-20, 20:-20].abs().mean() < 0.01
    mask = torch.zeros(1, 1, 150, 203)
    mask[..., :, 150:] = 1
    moved = view.geometry.move_mask(mask)
    shown = view.surrogate(mask.expand(1, 3, -1, -1))[:, :1] > 0.5
    assert (moved.bool() == shown).float().mean() > 0.98
    assert set(moved.unique().tolist()) == {0.0, 1.0}

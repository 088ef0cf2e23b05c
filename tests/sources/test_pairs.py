"""Files that other tools made: matched, or refused in a sentence."""

import pytest
import torch
from PIL import Image, ImageChops
from skimage import data

from brittle.errors import UserError
from brittle.images import quantise, read_photo
from brittle.protections import Noise, NoiseSpectrum
from brittle.sources.pairs import find_pairs, read_pair
from brittle.sources.same_photo import doubts
from tests.pictures import photo


@pytest.fixture
def original(tmp_path):
    path = tmp_path / "cat.png"
    Image.fromarray(photo(96, 120)).save(path)
    return path


def saved(original, name, change=lambda picture: picture, **options):
    path = original.parent / name
    change(Image.open(original)).save(path, **options)
    return path


def read(original, protected):
    (pair,), alone = find_pairs(original, protected)
    assert alone == ()
    return read_pair(pair)


def test_the_same_pixels_in_another_file_are_unchanged(original):
    other = saved(original, "other.tif")
    assert read(original, other).unchanged


@pytest.mark.parametrize(("name", "flag"), [("a.jpg", "is a JPEG"), ("a.webp", "WEBP")])
def test_files_saved_with_loss_are_flagged(original, name, flag):
    found = read(original, saved(original, name, quality=80))
    assert not found.unchanged
    assert any(flag in one for one in found.flags)


def test_a_lossless_file_that_was_a_jpeg_is_flagged(original):
    jpeg = saved(original, "a.jpg", quality=60)
    again = saved(jpeg, "again.png")
    assert any("its pixels show that it was one" in one for one in read(original, again).flags)


def test_a_smaller_file_of_the_same_proportions_is_matched_and_said(original):
    small = saved(original, "small.png", lambda one: one.resize((80, 64), Image.LANCZOS))
    found = read(original, small)
    assert found.original.shape == found.protected.shape == (1, 3, 64, 80)
    assert any("resampled" in one for one in found.flags)
    assert (found.original - found.protected).abs().mean() < 0.02
    levels = found.original * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)


def test_rounded_sides_are_the_same_proportions(original):
    odd = saved(original, "odd.png", lambda one: one.resize((83, 66)))
    assert read(original, odd).protected.shape[-2:] == (66, 83)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one.crop((0, 0, 96, 96)).resize((70, 70)), "cropped"),
        (lambda one: one.resize((120, 120)), "stretched"),
        (lambda one: one.transpose(Image.Transpose.ROTATE_90), "turned on its side"),
    ],
)
def test_other_proportions_are_refused(original, change, said):
    with pytest.raises(UserError, match=said):
        read(original, saved(original, "other.png", change))


def test_a_file_turned_by_its_metadata_is_turned_back(original):
    exif = Image.Exif()
    exif[0x0112] = 8
    turned = saved(
        original, "t.png", lambda one: one.transpose(Image.Transpose.ROTATE_270), exif=exif
    )
    assert read(original, turned).unchanged


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.point(lambda level: 255 - level),
        lambda one: one.transpose(Image.Transpose.ROTATE_180),
        lambda one: Image.new("RGB", one.size, "navy"),
        lambda one: Image.fromarray(data.astronaut()[100:196, 100:220]),
    ],
)
def test_another_picture_is_refused(original, change):
    with pytest.raises(UserError, match="different pictures"):
        read(original, saved(original, "other.png", change))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one.point(lambda level: level // 2), "far more than a change that is hard"),
        (lambda one: one.crop((2, 2, 118, 94)).resize(one.size), "cropped or moved by about"),
    ],
)
def test_what_is_no_protections_doing_is_a_doubt(original, change, said):
    (doubt,) = read(original, saved(original, "other.png", change)).doubts
    assert said in doubt


@pytest.mark.parametrize("quality", [30, 75])
def test_codecs_and_resampling_raise_no_doubt(original, quality):
    jpeg = saved(original, "a.jpg", quality=quality)
    small = saved(original, "s.png", lambda one: one.resize((60, 48)).resize(one.size))
    assert read(original, jpeg).doubts == read(original, small).doubts == ()


def test_a_crop_and_a_shift_are_done_to_the_original_too_and_said(original):
    part = read(original, saved(original, "part.png", lambda one: one.crop((5, 4, 115, 92))))
    assert part.unchanged
    assert part.doubts == ()
    assert part.flags == (
        "The protected file is a part of the original: the 110 × 88 px from 5 px of its left and 4 "
        "px of its upper edge were taken of the original too.",
    )
    move = read(original, saved(original, "move.png", lambda one: ImageChops.offset(one, 3, 2)))
    assert (move.original - move.protected).abs()[..., 2:, 3:].max() == 0
    assert move.flags[0].startswith(
        "The protected file was shifted against the original, by 3 px to the right and 2 px down"
    )


@pytest.mark.parametrize("kind", [Noise(), NoiseSpectrum()], ids=str)
def test_perturbations_raise_no_doubt(original, kind):
    image = read_photo(original).image
    moved = (image + 16 / 255 * torch.sign(torch.sin(torch.arange(120) / 5))).clamp(0, 1)
    for seed in range(5):
        drawn = kind.draw(image, quantise(moved), seeds=[seed])
        assert doubts(image, drawn) == ()


def test_folders_are_matched_by_name(original, tmp_path):
    left, right = tmp_path / "left", tmp_path / "right"
    for folder, names in ((left, "ab"), (right, "bc")):
        folder.mkdir()
        for name in names:
            Image.open(original).save(folder / f"{name}.{'png' if folder == left else 'webp'}")
    pairs, alone = find_pairs(left, right)
    assert [pair.name for pair in pairs] == ["b"]
    assert [path.rsplit("/", 1)[-1] for path in alone] == ["a.png", "c.webp"]


def test_what_has_no_pairs_is_refused(original, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    other = tmp_path / "other"
    other.mkdir()
    Image.open(original).save(other / "dog.png")
    own = tmp_path / "own"
    own.mkdir()
    Image.open(original).save(own / "cat.png")
    for paths, said in (
        ((original, original), "the same file"),
        ((original, empty), "a file and a folder"),
        ((own, empty), "holds no photos"),
        ((own, other), "no file name in common"),
        ((original, tmp_path / "missing.png"), "doesn't exist"),
    ):
        with pytest.raises(UserError, match=said):
            find_pairs(*paths)

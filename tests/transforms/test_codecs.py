import io

import numpy as np
import pytest
import torch
from PIL import Image, JpegImagePlugin, features
from pydantic import ValidationError
from scipy.fft import dctn, idctn

from brittle.catalogue import describe
from brittle.errors import UserError
from brittle.images import from_bytes, to_bytes
from brittle.transforms import Avif, Chain, Jpeg, Jpeg2000, Nothing, Transform, WebP

SAMPLING = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}

# Tables K.1 and K.2 of ITU-T T.81, by rows.
LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
COLOUR = np.full((8, 8), 99)
COLOUR[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])


def by_hand(levels: np.ndarray, quality: int) -> np.ndarray:
    """JPEG at 4:4:4 by the standard's formulas, in floating point."""
    height, width, _ = levels.shape
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    ycc = levels @ TO_YCC.T - [128, 0, 0]
    for channel, table in enumerate((LUMINANCE, COLOUR, COLOUR)):
        steps = np.clip(np.floor((table * scale + 50) / 100), 1, 255)
        blocks = ycc[..., channel].round().reshape(height // 8, 8, width // 8, 8).swapaxes(1, 2)
        waves = np.rint(dctn(blocks, axes=(2, 3), norm="ortho") / steps) * steps
        back = idctn(waves, axes=(2, 3), norm="ortho").round()
        ycc[..., channel] = back.swapaxes(1, 2).reshape(height, width)
    return ((ycc + np.array([128, 0, 0])) @ np.linalg.inv(TO_YCC).T).round().clip(0, 255)


def test_none_keeps_every_byte(real):
    assert torch.equal(Nothing().apply(real), real)


@pytest.mark.parametrize("quality", [1, 30, 75, 95, 100])
@pytest.mark.parametrize("subsampling", list(SAMPLING))
def test_jpeg_is_pillows_file_opened_again(real, quality, subsampling):
    received = Jpeg(quality=quality, subsampling=subsampling).apply(real)
    for image, levels in zip(received, to_bytes(real), strict=True):
        file = io.BytesIO()
        Image.fromarray(levels).save(
            file, "JPEG", quality=quality, subsampling=SAMPLING[subsampling]
        )
        with Image.open(file) as picture:
            assert JpegImagePlugin.get_sampling(picture) == SAMPLING[subsampling]
            assert torch.equal(image[None], from_bytes(np.array(picture)[None]))


@pytest.mark.parametrize("quality", [10, 50, 75, 90, 95])
def test_jpeg_is_the_standards(real, quality):
    real = real[..., :144, :200]
    received = to_bytes(Jpeg(quality=quality, subsampling="4:4:4").apply(real)).astype(float)
    expected = np.stack([by_hand(levels.astype(float), quality) for levels in to_bytes(real)])
    # libjpeg calculates in integers: a coefficient near a half may fall to the other side.
    assert np.abs(received - expected).mean() < 0.4
    assert (np.abs(received - expected) <= 2).mean() > 0.98


def test_lower_quality_and_subsampling_lose_more(real):
    def loss(**fields):
        return (Jpeg(**fields).apply(real) - real).square().mean().item()

    losses = [loss(quality=quality) for quality in (95, 85, 75, 50, 30, 10, 1)]
    assert losses == sorted(losses)
    assert (
        loss(quality=75, subsampling="4:4:4")
        < loss(quality=75, subsampling="4:2:2")
        < loss(quality=75, subsampling="4:2:0")
    )


@pytest.mark.parametrize("quality", [0, -5, 101, 65.0, "65", True, None])
def test_qualities_that_pillow_would_quietly_take(quality):
    with pytest.raises(ValidationError):
        Jpeg(quality=quality)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jpeg", "quality: field required"),
        ("jpeg:quality=0", "greater than or equal to 1"),
        ("jpeg:quality=101", "less than or equal to 100"),
        ("jpeg:quality=65.5", "valid integer"),
        ("jpeg:qualty=65", "did you mean 'quality'"),
        ("jpeg:quality=65,subsampling=4:1:1", "'4:4:4', '4:2:2' or '4:2:0'"),
        ("jpg:quality=65", "did you mean 'jpeg'"),
    ],
)
def test_mistakes_are_answered_in_a_sentence(text, message):
    with pytest.raises(UserError, match=message):
        Transform.parse(text)


def test_jpeg_as_text():
    assert Transform.parse("jpeg:quality=65") == Jpeg(quality=65, subsampling="4:2:0")
    assert Transform.parse("jpeg:quality=65,subsampling=4:4:4").subsampling == "4:4:4"
    assert str(Jpeg(quality=65)) == "jpeg:quality=65"
    assert str(Jpeg(quality=65, subsampling="4:2:2")) == "jpeg:quality=65,subsampling=4:2:2"


def saved(levels: np.ndarray, **options) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "JPEG", subsampling="4:2:0", **options)
    with Image.open(file) as picture:
        return np.array(picture)


def test_a_progressive_file_holds_the_same_pixels(real):
    theirs = saved(to_bytes(real)[0], quality=75, progressive=True)
    assert np.array_equal(theirs, to_bytes(Jpeg(quality=75, progressive=True).apply(real))[0])
    assert np.array_equal(theirs, to_bytes(Jpeg(quality=75).apply(real))[0])
    with Image.open(io.BytesIO(jpeg_bytes(real, progressive=True))) as picture:
        assert picture.info["progressive"]


def jpeg_bytes(image, **fields) -> bytes:
    """The file that a transform writes."""
    kept = []
    save = Image.Image.save

    def keeping(picture, file, *rest, **options):
        save(picture, file, *rest, **options)
        kept.append(file.getvalue())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image.Image, "save", keeping)
        Jpeg(quality=75, **fields).apply(image[:1])
    return kept[0]


@pytest.mark.parametrize("quality", [75, 94, 100])
def test_a_progressive_file_may_hold_noise(quality):
    stream = np.random.default_rng(0)
    noise = stream.integers(0, 2, (200, 301, 3)).astype(np.uint8) * 255
    fields = {"quality": quality, "subsampling": "4:4:4"}
    received = Jpeg(**fields, progressive=True).on_levels(noise, seed=None)
    assert np.array_equal(received, Jpeg(**fields).on_levels(noise, seed=None))


def test_several_saves_are_several_files(real):
    levels = to_bytes(real)[0]
    for saves in (1, 2, 3):
        expected = levels
        for _ in range(saves):
            expected = saved(expected, quality=75)
        received = Jpeg(quality=75, saves=saves).apply(real[:1])
        assert np.array_equal(to_bytes(received)[0], expected)


def test_saving_again_does_little_unless_the_grid_moves(real):
    once, twice, moved = (
        Jpeg(quality=75, **fields).apply(real)
        for fields in ({}, {"saves": 2}, {"saves": 2, "shift": 4})
    )
    again = (twice - once).square().mean()
    assert again < 0.2 * (once - real).square().mean()
    assert (moved - once).square().mean() > 3 * again


def test_a_moved_grid_is_that_of_a_cut_photo(real):
    once = saved(to_bytes(real)[0], quality=60)
    wide = np.pad(once, ((4, 0), (4, 0), (0, 0)), mode="edge")
    expected = saved(wide, quality=60)[4:, 4:]
    received = to_bytes(Jpeg(quality=60, saves=2, shift=4).apply(real[:1]))[0]
    assert np.array_equal(received, expected)
    near = Jpeg(quality=60, saves=2, shift=4).surrogate(real[:1])
    assert (near - from_bytes(received[None])).square().mean() < 10**-3.5
    assert np.array_equal(Jpeg(quality=60).on_levels(to_bytes(real)[0], seed=None), once)


# WebP, AVIF and JPEG 2000.

OTHERS = [WebP(quality=75), Avif(quality=60), Avif(quality=60, subsampling="4:4:4")]
OTHERS += [Jpeg2000(ratio=20)]


@pytest.mark.parametrize(
    ("transform", "kind", "options"),
    [
        (WebP(quality=40), "WEBP", {"quality": 40}),
        (Avif(quality=40), "AVIF", {"quality": 40, "max_threads": 1}),
        (Jpeg2000(ratio=30), "JPEG2000", {"quality_layers": [30], "irreversible": True}),
    ],
)
def test_the_other_codecs_are_pillows(real, transform, kind, options):
    file = io.BytesIO()
    Image.fromarray(to_bytes(real)[0]).save(file, kind, **options)
    with Image.open(file) as picture:
        assert np.array_equal(np.array(picture), to_bytes(transform.apply(real))[0])


@pytest.mark.parametrize(
    "ladder",
    [
        [WebP(quality=q) for q in (100, 80, 50, 20, 0)],
        [Avif(quality=q) for q in (100, 80, 50, 20, 0)],
        [Jpeg2000(ratio=r) for r in (1, 5, 20, 80, 300)],
    ],
    ids=["webp", "avif", "jpeg2000"],
)
def test_the_other_codecs_lose_more_at_lower_quality(real, ladder):
    losses = [(transform.apply(real) - real).square().mean().item() for transform in ladder]
    assert losses == sorted(losses)
    assert losses[0] * 10 < losses[-1]


def test_jpeg_2000_files_have_the_size_that_was_asked_for(real):
    file = io.BytesIO()
    Image.fromarray(to_bytes(real)[0]).save(
        file, "JPEG2000", quality_layers=[20], irreversible=True
    )
    assert file.tell() == pytest.approx(150 * 203 * 3 / 20, rel=0.1)


@pytest.mark.parametrize("side", [(16, 16), (16, 31), (33, 17)])
@pytest.mark.parametrize("transform", OTHERS, ids=str)
def test_the_other_codecs_take_small_and_odd_sizes(real, transform, side):
    small = real[..., : side[0], : side[1]]
    received = transform.apply(small)
    assert received.shape == small.shape
    assert (received - small).abs().mean() < 0.1


def test_a_codec_that_pillow_lacks_is_missing(monkeypatch, real):
    assert [transform.capabilities.missing for transform in OTHERS] == [None] * 4
    monkeypatch.setattr(features, "check", lambda feature: feature != "avif")
    assert Avif(quality=60).capabilities.missing == "this Pillow was built without AVIF"
    assert WebP(quality=60).capabilities.missing is None
    assert Jpeg(quality=60).capabilities.missing is None
    chain = Chain(steps=(Jpeg(quality=60), Avif(quality=60)))
    assert chain.capabilities.missing == "this Pillow was built without AVIF"
    with pytest.raises(UserError, match=r"avif:quality=60 can't run here: this Pillow"):
        chain.apply(real)
    listed = describe("transforms")
    assert listed.count("Unavailable: this Pillow was built without AVIF.") == 1


@pytest.mark.parametrize(
    "text", ["webp:quality=101", "webp:quality=-1", "avif:quality=60.5", "avif"]
)
def test_impossible_qualities_of_the_other_codecs(text):
    with pytest.raises(UserError, match="quality"):
        Transform.parse(text)


@pytest.mark.parametrize("ratio", [0.9, 0, -3, 1001, float("nan")])
def test_impossible_ratios(ratio):
    with pytest.raises(ValidationError):
        Jpeg2000(ratio=ratio)


@pytest.mark.parametrize("text", ["webp:quality=80", "flip+webp:quality=80"])
def test_a_photo_that_a_format_cannot_hold_is_refused_before_the_work(text):
    transform = Transform.parse(text)
    with pytest.raises(UserError, match="A WEBP has at most 16383 px a side"):
        transform.received_size((16_384, 20))
    assert tuple(transform.received_size((16_383, 20))) == (16_383, 20)
    smaller = Transform.parse("resize:factor=0.5,back=false+webp:quality=80")
    assert tuple(smaller.received_size((16_384, 20))) == (8_192, 10)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("jpeg:quality=175", "1 to 100"),
        ("jpeg:quality=0", "1 to 100"),
        ("webp:quality=-1", "0 to 100"),
        ("jpeg2000:ratio=0.5", "1 to 1000"),
        ("jpeg:quality=75,shift=16", "0 to 15"),
    ],
)
def test_both_ends_of_a_range_are_told(text, ends):
    with pytest.raises(UserError, match=rf"\({ends}\)$"):
        Transform.parse(text)

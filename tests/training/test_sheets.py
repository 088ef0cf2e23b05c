"""Labelled sheets: every picture where its titles say, as it was, and the labels clear of it."""

from importlib import resources

import numpy as np
import pytest
from PIL import Image
from training.sheets import Column, labelled_sheet


def photo(name: str, size: tuple[int, int]) -> Image.Image:
    with Image.open(str(resources.files("skimage") / "data" / name)) as image:
        return image.convert("RGB").resize(size)


def places(sheet: Image.Image, picture: Image.Image) -> list[tuple[int, int]]:
    """Upper left corners at which the sheet shows the picture, pixel by pixel."""
    pixels, wanted = np.asarray(sheet), np.asarray(picture.convert("RGB"))
    corners = np.argwhere((pixels == wanted[0, 0]).all(2))
    height, width = wanted.shape[:2]
    return [
        (int(x), int(y))
        for y, x in corners
        if np.array_equal(pixels[y : y + height, x : x + width], wanted)
    ]


def test_pictures_stand_in_columns_and_rows_as_they_are() -> None:
    cats = [photo("chelsea.png", (64, 48)), photo("astronaut.png", (64, 64))]
    cups = [photo("coffee.png", (64, 40)), photo("rocket.jpg", (40, 64))]
    sheet = labelled_sheet([Column("left", cats), Column("right", cups)], ["a", "b"], side=64)
    (upper_left,), (lower_left,) = (places(sheet, one) for one in cats)
    (upper_right,), (lower_right,) = (places(sheet, one) for one in cups)
    assert upper_left[0] == lower_left[0] < upper_right[0] - 63
    assert upper_right[0] == lower_right[0]
    assert upper_left[1] == upper_right[1] < lower_left[1] - 47
    assert lower_left[1] == lower_right[1]


def test_titles_and_names_are_written_beside_the_pictures() -> None:
    picture = photo("coffee.png", (64, 64))
    bare = np.asarray(labelled_sheet([Column("", [picture])], [" . "], side=64))
    (x, y), *_ = places(Image.fromarray(bare), picture)
    assert (bare[:y] == 255).all()
    sheet = labelled_sheet([Column("its edit", [picture], "protected")], ["a cup"], side=64)
    ((left, top),) = places(sheet, picture)
    pixels = np.asarray(sheet)
    assert top > y
    assert left > x
    assert (pixels[:top, left:] < 128).any()
    assert (pixels[top : top + 64, :left] < 128).any()


def test_large_pictures_are_reduced_and_small_ones_are_not_enlarged() -> None:
    large, small = photo("coffee.png", (300, 200)), photo("coffee.png", (60, 40))
    sheet = labelled_sheet([Column("a", [large]), Column("b", [small])], ["cup"], side=150)
    large.thumbnail((150, 150), Image.Resampling.LANCZOS)
    assert large.size == (150, 100)
    assert len(places(sheet, large)) == 1
    assert len(places(sheet, small)) == 1


def test_a_long_title_is_broken_between_words() -> None:
    picture = photo("coffee.png", (128, 128))
    short = labelled_sheet([Column("photo", [picture])], ["a"], side=128)
    long = labelled_sheet([Column("photo " * 12, [picture])], ["a"], side=128)
    assert long.width == short.width
    assert long.height > short.height


def test_a_row_without_a_name_is_refused() -> None:
    picture = photo("coffee.png", (32, 32))
    with pytest.raises(ValueError, match="1 rows are named"):
        labelled_sheet([Column("a", [picture, picture])], ["one"])

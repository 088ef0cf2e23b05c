from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("pyarrow")

from training.collect import SHORT_SIDE, collect
from training.data import load_photos


def test_the_three_collections_become_rows(tmp_path: Path) -> None:
    def save(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (300, 200), (120, 60, 30)).save(path)

    save(tmp_path / "flowers" / "tulips" / "1.jpg")
    (tmp_path / "flowers" / "LICENSE.txt").write_text("tulips/1.jpg CC-BY by A - https://a.b/c/\n")
    save(tmp_path / "grocery" / "train" / "Fruit" / "Apple" / "Golden-Delicious" / "2.jpg")
    save(tmp_path / "clothing" / "images" / "abc.jpg")
    (tmp_path / "clothing" / "images.csv").write_text("image,label\nabc,T-Shirt\nno,Not sure\n")
    sources = {name: tmp_path / name for name in ("flowers", "grocery", "clothing")}
    counts = collect(sources, tmp_path / "out")
    assert sum(counts.values()) == 3
    found = {
        photo.source: photo
        for split in ("train", "validation")
        for photo in load_photos(tmp_path / "out", split)
    }
    assert found["flowers"].label == "tulip"
    assert found["flowers"].credit == "CC-BY by A - https://a.b/c/"
    assert found["grocery"].caption == "a photo of golden delicious (apple)"
    assert found["clothing"].label == "t shirt"
    assert min(found["flowers"].pixels().shape[:2]) == SHORT_SIDE

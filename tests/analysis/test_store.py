"""What the store knows beside scores."""

import io

import pytest
from PIL import Image
from skimage import data

from brittle.analysis.store import _bits_a_pixel, _codecs
from brittle.images import levels_from_png


def test_bits_a_pixel_are_those_of_the_files_that_jpeg_makes(tmp_path):
    paths = [tmp_path / f"{name}.png" for name in ("cat", "coffee")]
    for path in paths:
        Image.fromarray(getattr(data, {"cat": "chelsea"}.get(path.stem, path.stem))()).save(path)
    qualities = {f"jpeg:quality={quality},subsampling=4:4:4": quality for quality in (90, 60, 30)}
    found = _bits_a_pixel(["none", "flip", "jpeg:quality=75", *qualities], paths)
    assert set(found) == set(qualities)
    for text, quality in qualities.items():
        sizes = []
        for path in paths:
            levels, file = levels_from_png(path.read_bytes()), io.BytesIO()
            Image.fromarray(levels).save(file, "JPEG", quality=quality, subsampling="4:4:4")
            sizes.append(8 * len(file.getvalue()) / levels.shape[0] / levels.shape[1])
        assert found[text] == pytest.approx(sum(sizes) / 2)
    codecs = {"libjpeg-turbo": "3.1.2", "pillow": "13.0.0"}
    assert _codecs([*qualities], codecs) == {
        "jpeg:subsampling=4:4:4": {
            "encoder": "libjpeg-turbo 3.1.2 (Pillow 13.0.0)",
            "subsampling": "4:4:4",
        }
    }

from pathlib import Path

import pytest
from PIL import Image
from skimage import data

from brittle import api
from brittle.images import read_photo, to_bytes, write_image
from brittle.noise import generators, uniform


@pytest.fixture(scope="session")
def files(tmp_path_factory, embedded) -> Path:
    """A photo of 64 px, protected, with plain noise, and the same pixels once more."""
    return write_files(tmp_path_factory.mktemp("audit"), embedded, every=4)


@pytest.fixture(scope="session")
def large(tmp_path_factory, embedded) -> Path:
    """As `files`, of 128 px, at which usable edits are calibrated."""
    return write_files(tmp_path_factory.mktemp("large"), embedded, every=2)


def write_files(folder: Path, model, every: int) -> Path:
    """The files of a photo of which every n-th pixel is taken."""
    cat = data.chelsea()[:256:every, 100:356:every]
    Image.fromarray(cat).save(folder / "original.png")
    image = read_photo(folder / "original.png").image
    protection = "photoguard-encoder:steps=30"
    write_image(folder / "protected.png", api.protect(image, protection, model=model))
    noise = (uniform(image.shape[1:], generators([1])) * 25 - 12).round() / 255
    write_image(folder / "noise.png", (image + noise).clamp(0, 1))
    Image.fromarray(to_bytes(image)[0]).save(folder / "same.tif")
    return folder

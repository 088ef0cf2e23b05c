import pytest
from PIL import Image

from brittle.images import read_photo, to_bytes, write_image
from brittle.noise import generators, uniform


@pytest.fixture(scope="session")
def files(tmp_path_factory, embedded):
    """A photo of 128 px, protected, with plain noise, and the same pixels once more."""
    from skimage import data

    from brittle import api

    folder = tmp_path_factory.mktemp("audit")
    cat = data.chelsea()[:256:2, 100:356:2]
    Image.fromarray(cat).save(folder / "original.png")
    image = read_photo(folder / "original.png").image
    protection = "photoguard-encoder:steps=30"
    write_image(folder / "protected.png", api.protect(image, protection, model=embedded))
    noise = (uniform(image.shape[1:], generators([1])) * 25 - 12).round() / 255
    write_image(folder / "noise.png", (image + noise).clamp(0, 1))
    Image.fromarray(to_bytes(image)[0]).save(folder / "same.tif")
    return folder

import shutil

import numpy as np
import pytest
from PIL import Image
from skimage import data

from tests.app import pages

PICTURES = {"cat.png": data.chelsea()[:96:2, 100:228:2], "cup.jpg": data.coffee()[:96:2, :128:2]}


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """The folder of two photos of 64 x 48 px, one that was moved, and one that is damaged."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, levels in PICTURES.items():
        Image.fromarray(levels).save(folder / name, quality=95)
    stripes = np.where(np.indices((48, 64, 1)).sum(0) % 4 < 2, 4, -4)
    moved = (PICTURES["cat.png"] + stripes).clip(0, 255).astype(np.uint8)
    Image.fromarray(moved).save(folder / "moved.png")
    whole = (folder / "cup.jpg").read_bytes()
    (folder / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture(scope="session")
def app(tmp_path_factory):
    """The app, with one process for all tests; its figures are as small as the model allows."""
    pytest.importorskip("starlette", reason="pip install 'brittle[app]'")
    from brittle.app.server import App

    app = App(tmp_path_factory.mktemp("server"), size=128)
    yield app
    app.jobs.close()


@pytest.fixture
def server(app):
    """The app without photos."""
    shutil.rmtree(app.uploads.root, ignore_errors=True)
    return app


@pytest.fixture
def page(server):
    """What a browser of this computer asks."""
    return pages.Page(server)

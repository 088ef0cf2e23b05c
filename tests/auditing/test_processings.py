"""Files that no protection made are called none, and a protection is seen through a disguise."""

import numpy as np
import pytest
from PIL import Image

import brittle

import processings  # isort: skip  (benchmarks/, put on the path by tests/conftest.py)


def audited(files, name, process, embedded, folder):
    """The line of edits without a transform, after something was done to a file."""
    picture = np.asarray(Image.open(files / name))
    path = folder / "processed.png"
    Image.fromarray(process(picture, np.random.default_rng(1))).save(path)
    found = brittle.audit(
        files / "original.png",
        path,
        models=[embedded],
        transforms=[],
        prompts=["a sepia photo"],
        editor="img2img:num_inference_steps=4",
    ).found
    (result,) = found.document.photos[0].results
    return result


@pytest.mark.parametrize("name", ["texture-following noise", "caption"])
def test_what_no_protection_made_is_called_none(name, large, embedded, tmp_path):
    process = processings.UNPROTECTED[name]
    result = audited(large, "original.png", process, embedded, tmp_path)
    assert not result.deciding[0].protects
    assert "the protection" not in result.answer[0]


@pytest.mark.parametrize("name", ["white frame", "crop"])
def test_a_protection_is_seen_through_a_disguise(name, large, embedded, tmp_path):
    result = audited(large, "protected.png", processings.DISGUISES[name], embedded, tmp_path)
    assert result.seen_as("latents")[0].test.stronger
    assert result.deciding[0].test.stronger
    assert result.deciding[0].reach > 0.05

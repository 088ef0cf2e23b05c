"""The second embedded editor: an instruction editor on the first one's latents."""

import pytest
import torch
from torch import Tensor

from brittle.editors import Img2Img, Instruct
from brittle.errors import UserError
from brittle.metrics import Follow, Keep
from brittle.models import EditModel, load_model
from brittle.models.loading import EMBEDDED, EMBEDDED_INSTRUCT
from brittle.models.prompts import check_prompts
from brittle.protections import Protection
from brittle.sources.photos import load_photos

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def model() -> EditModel:
    return load_model("embedded-instruct", size=128, dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def photos() -> Tensor:
    found = [photo.image for photo in load_photos("sample", square=128).values()]
    return torch.cat(found[:3])


def test_it_is_small_and_shares_what_it_can() -> None:
    files = [path for path in EMBEDDED_INSTRUCT.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 20 * MEGABYTE
    assert {path.name for path in EMBEDDED_INSTRUCT.iterdir() if path.is_dir()} == {
        "scheduler",
        "unet",
    }
    model = load_model("embedded-instruct")
    assert model.base_directory == EMBEDDED
    assert EMBEDDED / "vae" / "config.json" in model.files.paths()


def test_edits_show_what_was_asked_for_and_keep_the_photo(model: EditModel, photos: Tensor) -> None:
    """The same photos, with a look and without a prompt: the looks are seen where asked for."""
    looks, editor = ["night", "neon", "underwater"], Instruct(num_inference_steps=8)
    edits = editor.edit(model, photos, prompts=looks, seeds=[0, 1, 2])
    plain = editor.edit(model, photos, prompts=[""] * 3, seeds=[0, 1, 2])
    asked, unasked = (
        Follow().score(some, photos, prompts=looks, model=model) for some in (edits, plain)
    )
    assert (asked > unasked + 0.3).all()
    apart = [(some - photos).square().mean((1, 2, 3)) for some in (edits, plain)]
    assert (apart[1] < apart[0]).all()
    assert (Keep().score(plain, photos) > Keep().score(plain, photos.roll(1, 0)) + 0.2).all()


def test_it_edits_by_instruction_alone(model: EditModel, photos: Tensor) -> None:
    with pytest.raises(UserError, match="instruct"):
        Img2Img().edit(model, photos[:1], prompts=["night"], seeds=[0])
    with pytest.raises(UserError, match="knows no word"):
        check_prompts(model, ["blorf zint"])


@pytest.mark.parametrize("protection", ["diffusion:steps=1", "style-cloak:steps=1"])
def test_a_protection_through_what_it_cannot_do_is_refused_before_work(
    model: EditModel, protection: str
) -> None:
    with pytest.raises(UserError, match=r"flow matching|follows instructions"):
        Protection.parse(protection).check_model(model)

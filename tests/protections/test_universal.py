"""Tiles that were made once: which one a photo gets, where it lies, what the shipped ones do."""

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from brittle.errors import UserError
from brittle.protections import Protection, Universal
from brittle.protections.universal import covering, made, shipped, write_tiles


@pytest.fixture
def tiles() -> Tensor:
    """One that changes nothing, and one of random signs."""
    signs = torch.randint(0, 2, (3, 16, 16), generator=torch.Generator().manual_seed(0)) * 2 - 1
    return torch.stack([torch.zeros(3, 16, 16), signs.float()])


@pytest.fixture
def path(tiles, tmp_path):
    write_tiles(tmp_path / "tiles.safetensors", tiles, {"steps": 3})
    return tmp_path / "tiles.safetensors"


def test_a_photo_gets_the_tile_that_moves_its_latent_repeated_from_its_corner(
    kl, photos, path, tiles
) -> None:
    image = photos[:, :, :40, :56] * 0 + 128 / 255
    protected = Universal(tiles=str(path))(kl, image, seeds=[0, 1])
    expected = covering(tiles[1:], image.shape[-2:]) * 12 / 255
    assert torch.allclose(protected - image, expected.expand_as(image), atol=1e-6)
    assert Universal(tiles=str(path)).cost == "3 passes through the encoder, forward"


def test_a_photo_larger_than_the_model_sees_gets_it_stretched(kl, photos, path, tiles) -> None:
    image = photos[:1] * 0 + 128 / 255  # 128 px, of which the model sees 64
    moved = Universal(tiles=str(path))(kl, image, seeds=[0]) - image
    assert moved.abs().max() <= 12 / 255 + 1e-6
    small = torch.nn.functional.avg_pool2d(moved, 2)
    assert (small.sign() == covering(tiles[1:], torch.Size((64, 64))).sign()).float().mean() > 0.8


def test_its_record_holds_the_files_digest(path, tiles) -> None:
    protection = Universal(tiles=str(path))
    assert Protection.from_record(protection.record()) == protection
    assert made(path) == {"steps": 3}
    write_tiles(path, tiles / 2, {"steps": 4})
    assert Universal(tiles=str(path)) != protection
    with pytest.raises(UserError, match="aren't those that were recorded"):
        protection.loaded()
    (path.parent / "other.safetensors").write_bytes(b"no tiles")
    with pytest.raises(UserError, match="holds no tiles that can be read"):
        Universal(tiles=str(path.parent / "other.safetensors")).loaded()
    with pytest.raises(UserError, match=r"the tiles nowhere can't be read"):
        Protection.parse("universal:tiles=nowhere")


@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (3, 8, 8), (1, 3, 8, 16), (2, 1, 8, 8)])
def test_tiles_of_another_shape_are_refused_in_a_sentence(tmp_path, shape) -> None:
    save_file({"tiles": torch.zeros(shape, dtype=torch.int8)}, tmp_path / "odd.safetensors")
    with pytest.raises(UserError, match=r"not \(K, 3, T, T\)"):
        Universal(tiles=str(tmp_path / "odd.safetensors")).loaded()


def distance(model, image: Tensor, changed: Tensor) -> Tensor:
    with torch.no_grad():
        return (model.encode(changed) - model.encode(image)).flatten(1).norm(dim=1)


def test_the_shipped_tiles_move_photos_that_they_were_not_made_on(embedded, photos) -> None:
    protected = Universal()(embedded, photos, seeds=[0, 1])
    size = (protected - photos).abs().amax()
    signs = torch.randint(0, 2, photos.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    noise = (photos + signs * size).clamp(0, 1)
    assert (distance(embedded, photos, protected) > 1.2 * distance(embedded, photos, noise)).all()
    assert made(shipped())["model"] == embedded.content_hash


def test_learning_moves_latents_further(embedded, photos, tmp_path) -> None:
    pytest.importorskip("pyarrow")
    from training.data import to_pixels
    from training.universal import distances, learn

    from tests.training.recipe import small_config

    small = ["number=2", "side=32", "batch=2"]
    config = small_config(tmp_path, *(f"universal.{one}" for one in [*small, "steps=6"]))
    pictures = list(to_pixels(photos))
    learned = learn(embedded, pictures, config)
    start = learn(embedded, pictures, small_config(tmp_path, *(
        f"universal.{one}" for one in [*small, "steps=0"]
    )))  # fmt: skip
    assert learned.shape == start.shape == (2, 3, 32, 32)
    with torch.no_grad():
        gain = distances(embedded, photos, learned) / distances(embedded, photos, start)
    assert (gain.amax(0) > 1.1).all()

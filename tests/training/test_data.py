from pathlib import Path

import numpy as np
import pytest
import torch
from training.data import SIZE, crop, jpeg, load_photos, to_pixels, to_tensor

from tests.training.recipe import small_config, write_photos, write_teacher


def test_photos_come_back_with_label_caption_and_credit(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos")
    photos = load_photos(tmp_path / "photos", "train")
    assert [p.id for p in photos] == [str(n) for n in range(6)]
    assert photos[0].label == "tulip"
    assert photos[0].credit == "photographer 0"
    assert photos[0].pixels().shape == (144, 180, 3)


def test_a_missing_split_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="README"):
        load_photos(tmp_path, "train")


def test_crops_are_squares_and_follow_their_generator(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos")
    photo = load_photos(tmp_path / "photos", "train")[0]
    first, second = (crop(photo, np.random.default_rng(5)) for _ in range(2))
    assert first.shape == (SIZE, SIZE, 3)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, crop(photo))


def test_pixels_and_tensors_are_the_same_bytes() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    assert np.array_equal(to_pixels(to_tensor(pixels)), pixels)
    assert jpeg(pixels[0], 50).shape == pixels[0].shape


def test_attacks_stay_on_the_grid_and_near_the_photo(tmp_path: Path) -> None:
    from training.teacher import load_teacher
    from training.teacher_set import attack_steps

    write_teacher(tmp_path / "teacher")
    encoder = load_teacher(tmp_path / "teacher")
    clean = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    goal = torch.zeros(2, 32, 4, 4)
    pictures, codes = attack_steps(encoder, clean, goal, np.array([4, 9]), steps=3)
    assert len(pictures) == len(codes) == 4
    for picture in pictures:
        moved = np.abs(picture.astype(int) - clean).reshape(2, -1).max(1)
        assert (moved <= [4, 9]).all()
    # The latents are those of the stored bytes.
    again = encoder(to_tensor(pictures[-1])).half()
    assert torch.allclose(again, codes[-1], atol=2e-3)
    assert codes[-1].float().norm() < codes[0].float().norm()


def test_the_teachers_set_is_whole_and_repeatable(tmp_path: Path) -> None:
    from safetensors.torch import load_file
    from training.teacher_set import make_set

    write_photos(tmp_path / "photos")
    write_teacher(tmp_path / "teacher")
    config = small_config(tmp_path)
    for name in ("one", "two"):
        make_set(config, tmp_path / name)
    one, two = (load_file(tmp_path / n / "chunk-0000.safetensors") for n in ("one", "two"))
    assert len(one["pixels"]) == len(one["latents"]) == len(one["kinds"]) == 6
    assert torch.equal(one["pixels"], two["pixels"])

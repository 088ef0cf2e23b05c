from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training.remover import load_pairs, train

from brittle.errors import UserError
from tests.training.recipe import small_config, write_photos

SMALL = (
    "remover.chunks=1", "remover.crops=2", "remover.steps=2", "remover.batch=2", "remover.every=1",
    "remover.protections={gray: 'encoder:steps=1', away: 'encoder:steps=1,target=away,"
    "random_start=true'}",
)  # fmt: skip


def test_the_remover_learns_from_pairs_and_leaves_one_out(tmp_path: Path, capsys) -> None:
    write_photos(tmp_path / "photos")
    export = tmp_path / "weights" / "remover.safetensors"
    config = small_config(tmp_path, *SMALL, f"remover.export={export}")
    train(config)
    assert all(value.dtype == torch.float16 for value in load_file(export).values())
    original, protected = load_pairs(config)
    assert original.shape == (4, 128, 128, 3)
    assert 0 < abs(original.astype(int) - protected).max() <= 16
    written = export.read_bytes()
    without = small_config(tmp_path, *SMALL, f"remover.export={export}", "remover.without=away")
    assert len(load_pairs(without)[0]) == 2
    train(without)
    assert (config.work / "remover-without-away-weights.safetensors").is_file()
    assert export.read_bytes() == written
    with pytest.raises(UserError, match=r"grey is none of remover\.protections"):
        train(small_config(tmp_path, *SMALL, "remover.without=grey"))

import numpy as np
import pytest
from skimage import data

from brittle.errors import UserError
from brittle.images import from_bytes, write_image
from brittle.sources.edits_table import read_edits
from tests.malformed.tables import some_tables


@pytest.fixture
def table(tmp_path):
    """Where a table stands, beside the pictures that it may name."""
    for name in ("a", "b", "c", "dog", "cat"):
        write_image(tmp_path / f"{name}.png", from_bytes(data.chelsea()[None, :32, :32]))
    write_image(tmp_path / "wide.png", from_bytes(np.zeros((1, 32, 48, 3), np.uint8)))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    return tmp_path / "edits.csv"


def test_a_malformed_table_is_read_or_refused_in_a_sentence(table):
    for name, written in some_tables(400, seed=16):
        table.write_bytes(written)
        try:
            entries = read_edits(table)
            assert {entry.arm for entry in entries} >= {"original"}, name
        except UserError as error:
            said = str(error)
            assert "\n" not in said, name
            assert 10 < len(said) < 1200, name

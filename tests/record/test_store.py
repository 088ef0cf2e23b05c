"""Files that are written piece by piece."""

import pytest

from brittle.record.store import dump, dump_list
from brittle.record.whole import Hashed, sha256


@pytest.mark.parametrize(
    "items", [[], [{}], [{"b": "two\nlines", "a": "é"}, {"nested": [1, {"z": None}]}, "text"]]
)
def test_a_list_is_written_item_by_item_as_it_is_at_once(items):
    assert b"".join(dump_list(iter(items))) == dump(items)


def test_the_digest_of_pieces_is_that_of_the_file():
    pieces = Hashed(iter([b"a", b"", b"bc"]))
    assert b"".join(pieces) == b"abc"
    assert pieces.digest == sha256(b"abc")

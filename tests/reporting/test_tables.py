"""What stands in the tables' cells."""

import pytest

from brittle.reporting.tables import transform_table
from tests.reporting.made import EDITOR, JPEG, PROTECTION, finish, make_trial


@pytest.mark.parametrize(("strength", "whole"), [(0.34, "100\u00a0%"), (0.0, "–")])
def test_what_does_nothing_has_no_whole_to_keep_shares_of(tmp_path, strength, whole):
    trial = finish(make_trial(tmp_path, strength=strength, pictures=False))
    rows = {row.label: row for row in transform_table(trial, PROTECTION, EDITOR).rows}
    assert rows["none"].retention.main == whole
    assert (rows[JPEG].retention.main == "–") == (whole == "–")
    assert trial.summary.effect(PROTECTION, "none").effect is not None


def test_without_another_transform_there_is_nothing_to_compare_with_the_whole(tmp_path):
    trial = finish(make_trial(tmp_path, transforms=("none",), pictures=False))
    (row,) = transform_table(trial, PROTECTION, EDITOR).rows
    assert row.retention.main == "–"

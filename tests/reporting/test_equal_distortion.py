import pytest

from brittle.declaration.primary import Primary
from brittle.reporting.equal_distortion import equal_distortion
from tests.analysis.test_equal_distortion import curve, protection
from tests.analysis.trials import JPEG, summary_of


def section(*rows):
    summary = summary_of(
        [one for part in rows for one in part], primary=Primary(transforms=(JPEG,))
    )
    return equal_distortion(summary)


@pytest.fixture(scope="module")
def found():
    return section(protection("one", 0.4, curve(0.5)), protection("two", 0.7, curve(0.5)))


def test_draws_both_rulers_without_a_transform_and_after(found):
    titles = [str(figure.chart) for figure in found["figures"]]
    assert len(titles) == 4
    assert sum("JPEG 75" in title for title in titles) == 2
    assert sum("dB" in title for title in titles) == 2
    for figure in found["figures"]:
        assert len(figure.rows) == 2 * 5
        assert "never beyond" in figure.caption


def test_rankings_at_equal_budget_are_labelled(found):
    assert found["at_budget"]
    assert all("alone, not at equal distortion" in said for said in found["at_budget"])


def test_without_a_sweep_it_says_why():
    few = [protection(name, 0.4, curve(0.5), budgets=(4, 8)) for name in ("one", "two")]
    found = section(*few)
    assert found["figures"] == []
    assert "fewer than 4 budgets" in found["sentences"][0]


def test_one_protection_has_no_section():
    assert section(protection("one", 0.4, curve(0.5))) is None

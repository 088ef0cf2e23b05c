from brittle.app.choices import RECOMMENDED, protections
from brittle.component import registry


def test_what_needs_encoders_that_are_not_here_is_not_offered(monkeypatch):
    """As on a computer that never fetched any; nor what the page's model can't run."""
    monkeypatch.setattr("brittle.models.hub.cached", lambda *_: None)
    first, others = protections()
    assert [one.value for one in first] == list(RECOMMENDED)
    offered = {one.value for one in others}
    assert "encoder-away-everywhere" not in offered
    assert "pid" not in offered
    assert {"editshield", "advdm"} <= offered
    assert offered < set(registry("protection").presets)

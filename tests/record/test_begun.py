"""In what two manifests are of different trials."""

from brittle.declaration.primary import Primary
from brittle.record.begun import differing
from tests.reporting.made import make_trial


def test_what_differs_as_declared_and_as_filled_in_is_named_once(tmp_path):
    found = make_trial(tmp_path, count=1, pictures=False).manifest
    primary = Primary(alpha=0.01)
    resolved = found.trial.resolved | {"primary": primary.model_dump(), "prompts": ["night"]}
    written = found.trial.model_copy(update={"resolved": resolved})
    wanted = found.model_copy(update={"trial": written, "primary": primary})
    assert differing(found, wanted) == ["primary", "prompts"]
    assert differing(found, found) == []

import pytest
from skimage import data

import brittle
from brittle.errors import UserError
from brittle.images import from_bytes, write_image
from brittle.trial import cost, other_models
from tests.malformed.trials import some_trials


@pytest.fixture
def folder(tmp_path, monkeypatch, embedded):
    """A folder for trial files, with one small photo; every one of them uses one loaded model."""
    write_image(tmp_path / "photos" / "cat.png", from_bytes(data.chelsea()[None, :64, :64]))
    load, known = other_models.load_model, {"embedded": embedded}
    monkeypatch.setattr(
        other_models,
        "load_model",
        lambda name, **options: known.get(name) or load(name, **options),
    )
    monkeypatch.setattr(cost, "stage_seconds", lambda *of, cost=None: {"edits": 1.0})
    return tmp_path


def test_a_malformed_trial_is_counted_or_refused_in_a_sentence(folder, monkeypatch):
    monkeypatch.chdir(folder)
    for name, written in some_trials(200, seed=16):
        (folder / "trial.yaml").write_bytes(written)
        try:
            assert "time" in brittle.dry_run(brittle.load_trial("trial.yaml")), name
        except UserError as error:
            said = str(error)
            assert "\n" not in said, name
            assert "Value error" not in said, name
            assert 10 < len(said) < 1500, name

"""The trials that come with the repository can be read, and name components that exist."""

from itertools import chain
from pathlib import Path

import pytest

from brittle.benching.declaration import load_bench, submission
from brittle.declaration.trial import load_trial
from brittle.editors import Editor
from brittle.protections import Protection
from brittle.sources.photos import load_photos
from brittle.transforms import Transform
from brittle.trial.other_models import lay_out_others, models_of
from brittle.trial.plan import lay_out

TRIALS = sorted((Path(__file__).parents[2] / "trials").glob("*.yaml"))


@pytest.mark.parametrize("path", TRIALS, ids=lambda path: path.stem)
def test_a_ready_trial_can_be_read(path) -> None:
    trial = load_trial(path)
    for base, texts in (
        (Protection, map(trial.written_out, trial.protections)),
        (Transform, trial.transforms),
        (Editor, (*trial.editors, *chain.from_iterable(trial.models.values()))),
    ):
        for text in texts:
            assert base.read(text)


def test_the_adaptive_attacker_is_declared() -> None:
    trial = load_trial(TRIALS[0].with_stem("adaptive"))
    assert "published file alone" in trial.threat_model
    assert any("DiffPure" in one for one in trial.not_tried)
    purifiers = {one.partition(":")[0] for one in trial.transforms}
    assert {"denoise", "autoencode", "impress", "bilateral", "shift", "webp"} <= purifiers


def test_the_arms_race_is_run_at_one_distance() -> None:
    trial = load_trial(TRIALS[1].with_stem("arms-race"))
    protections = [Protection.read(trial.written_out(name)) for name in trial.protections]
    plain, aware, away, away_aware, moved = protections
    assert {one.budget for one in protections} == {plain.budget}
    assert plain.budget.norm == "perceptual"
    assert plain == aware.model_copy(update={"expectation": ()})
    assert away.expectation == ()
    for one in (away_aware, moved):
        assert away == one.model_copy(update={"expectation": ()})
    assert plain == away.model_copy(update={"target": "gray", "random_start": False})


def test_slow_purifiers_meet_the_protections_of_the_bench() -> None:
    trial, bench = load_trial(TRIALS[0].with_stem("slow-purifiers")), load_bench("quick")
    presets = ("photoguard-encoder", "encoder-away-jpeg", "editshield", "mist-fused")
    for name, preset in zip(trial.protections, presets, strict=True):
        its = submission(bench, preset).trial
        (label,) = its.protections
        asked = Protection.read(trial.written_out(name)).record()
        assert asked == Protection.read(its.written_out(label)).record()


def test_transfer_is_asked_both_ways() -> None:
    there, back = (load_trial(TRIALS[0].with_stem(name)) for name in ("transfer", "transfer-back"))
    assert there.models == {back.model: back.editors}
    assert back.models == {there.model: there.editors}
    same = {"title", "model", "editors", "models", "names"}
    assert there.model_dump(exclude=same) == back.model_dump(exclude=same)
    for trial in (there, back):
        model, *others = models_of(trial, device="cpu", dtype="float32")
        plan = lay_out(trial, load_photos("sample", square=128), model)
        ((other, _),) = lay_out_others(plan, others)
        assert plan.primary.editor == trial.editors[0]
        assert len({one.budget for one in plan.protections.values()}) == 1
        ((name, editors),) = trial.models.items()
        assert [*other.editors] == [f"{one} on {name}" for one in editors]
        assert other.made_on == plan.model
        for protection in plan.protections.values():
            protection.check_model(model)

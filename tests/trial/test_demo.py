"""The demo: what a slow machine leaves out, and that nothing is done twice on the way to it."""

from collections import Counter

import pytest
import yaml

from brittle.errors import UserError
from brittle.images import from_bytes, write_image
from brittle.models import load_model
from brittle.record.store import FolderStore
from brittle.sources.photos import load_photos
from brittle.trial import demo
from brittle.trial import run as running
from brittle.trial.plan import make_plan
from tests.pictures import photo


@pytest.fixture(scope="module")
def plan():
    trial = demo.declared(size=128)
    return make_plan(trial, load_photos(trial.photos, square=128), load_model(size=128))


def measured(plan, seconds, protecting=0.0):
    """What is expected of a plan: so many seconds for each edit, and for all protections."""
    return {plan.trial.protections[0]: protecting, "edits": len(plan.edits) * seconds}


@pytest.fixture
def at(plan, monkeypatch):
    """The trial and the notes that the demo comes to where an edit takes so many seconds."""

    def fitting(seconds, protecting=0.0):
        monkeypatch.setattr(
            demo, "stage_seconds", lambda plan, model, cost: measured(plan, seconds, protecting)
        )
        found, _, notes = demo._fitting([plan.trial], minutes=6)
        return found.trial, notes

    return fitting


def test_a_slow_machine_leaves_out_prompts_then_transforms_and_says_so(at, plan):
    trial, (note,) = at(0.8)
    assert trial.prompts == plan.trial.prompts[:1]
    assert set(trial.transforms) < set(plan.trial.transforms)
    assert set(trial.primary.transforms) <= set(trial.transforms)
    assert "left out golden hour" in note


def test_a_very_slow_machine_is_told_the_time(at):
    trial, notes = at(10)
    assert set(trial.transforms) == {"none", *trial.primary.transforms}
    assert notes[-1].startswith("--minutes 6 is too few: on this machine the demo takes at least ")


def test_a_machine_that_is_too_slow_for_any_part_works_in_small_squares(plan, monkeypatch):
    whole = demo.declared()
    (small,) = demo._small(whole)
    assert (small.square, small.size) == (demo.SMALL, demo.SMALL) == (128, 128)
    assert not [*demo._small(small)]
    monkeypatch.setattr(
        demo,
        "stage_seconds",
        lambda plan, model, cost: measured(plan, 4 if model.size > demo.SMALL else 0.1),
    )
    found, model, (note,) = demo._fitting([whole, small], minutes=6)
    assert found.trial == small
    assert model.size == demo.SMALL
    assert note.endswith("the demo works on squares of 128 px instead of 256.")


def test_what_protects_takes_as_long_in_a_smaller_demo(at, plan):
    seconds = 300 / len(plan.edits)
    assert at(seconds) == (plan.trial, [])
    trial, notes = at(seconds, protecting=200)
    assert len(trial.prompts) == 1
    assert len(notes) == 1


def test_a_fast_machine_runs_all_of_it(at, plan):
    assert at(0.01) == (plan.trial, [])


def test_edits_are_counted_as_a_smaller_plan_has_them(plan):
    sizes = list(demo._smaller(plan.trial))
    assert len(sizes) == 1 + 1 + len(demo.VARIANTS.leave_out)
    for trial in (sizes[0], sizes[1], sizes[-1]):
        whole = make_plan(trial, plan.photos, load_model(size=128))
        assert demo.edits_of(trial, plan) == len(whole.edits)


def test_another_editor_needs_other_fields():
    trial = demo.declared(editor="inpaint", size=128)
    assert trial.mask == "auto"
    assert trial.editors == ("inpaint",)
    with pytest.raises(UserError, match="did you mean 'inpaint'"):
        demo.declared(editor="inpant")


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A demo of two photos and few steps, and how often each part of it is done."""
    for name, width in (("one", 70), ("two", 90)):
        write_image(tmp_path / "photos" / f"{name}.png", from_bytes(photo(70, width)[None]))
    written = yaml.safe_load(demo.TRIAL.read_text())
    written |= {
        "photos": "photos",
        "protections": ["photoguard-encoder:steps=1"],
        "placebos": ["noise"],
        "transforms": ["none", "jpeg:quality=75", "flip"],
        "editors": ["img2img:num_inference_steps=4"],
        "floor_seeds": [],
        "metrics": ["psnr"],
        "primary": {"metric": "psnr"},
        "square": 64,
        "size": 128,
    }
    monkeypatch.setattr(demo, "TRIAL", tmp_path / "demo.yaml")
    demo.TRIAL.write_text(yaml.safe_dump(written))
    calls = Counter()
    for module in (demo, running):
        for name in (
            "load_photos",
            "read_photos",
            "load_model",
            "models_of",
            "make_plan",
            "lay_out",
        ):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, counted(calls, name, getattr(module, name)))
    return calls


def counted(calls, name, do):
    def doing(*arguments, **options):
        calls[name] += 1
        return do(*arguments, **options)

    return doing


def test_nothing_is_read_loaded_or_planned_twice(small, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "stage_seconds", lambda plan, model, cost: measured(plan, 0.01))
    demo.run_demo(tmp_path / "out")
    assert small == {"load_photos": 1, "load_model": 1, "make_plan": 1}


def test_a_smaller_demo_is_planned_once_and_resumed_as_it_was_begun(small, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "stage_seconds", lambda plan, model, cost: measured(plan, 20))
    said = []
    demo.run_demo(tmp_path / "out", say=said.append)
    assert small == {"load_photos": 1, "load_model": 1, "make_plan": 2}
    assert "left out golden hour, flip." in said[0]
    begun = [
        getattr(FolderStore(tmp_path / "out").manifest, name) for name in ("prompts", "transforms")
    ]
    small.clear()
    demo.run_demo(tmp_path / "out", say=said.append)
    assert small == {"read_photos": 1, "models_of": 1, "lay_out": 1}
    assert [
        getattr(FolderStore(tmp_path / "out").manifest, name) for name in ("prompts", "transforms")
    ] == begun
    assert said == [said[0]] * 2

from pathlib import Path

import pytest

from brittle.declaration.primary import Primary
from brittle.declaration.trial import Trial, load_trial
from brittle.errors import UserError


def write(tmp_path, text):
    path = tmp_path / "trial.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_are_spelt_out(tmp_path):
    trial = load_trial(write(tmp_path, "prompts: heavy rain"))
    assert trial.prompts == ("heavy rain",)
    assert trial.transforms == ("none",)
    assert trial.arms == (
        "original",
        "gray",
        "photoguard-encoder",
        "noise(photoguard-encoder)",
        "noise-spectrum(photoguard-encoder)",
        "noise-local(photoguard-encoder)",
    )


def test_none_comes_first_and_once(tmp_path):
    trial = load_trial(write(tmp_path, "prompts: x\ntransforms: ['jpeg:quality=75', none]"))
    assert trial.transforms == ("none", "jpeg:quality=75")


def test_settings_reach_into_the_trial(tmp_path):
    path = write(tmp_path, "prompts: x")
    trial = load_trial(path, ["seeds=[3,4]", "primary.alpha=0.01", "batch=2"])
    assert (trial.seeds, trial.primary.alpha, trial.batch) == ((3, 4), 0.01, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompts: x\ntransfroms: [none]", "did you mean 'transforms'"),
        ("prompts: ['']", "a prompt is empty"),
        ("prompts: []", "prompts"),
        ("title: no prompts", "prompts"),
        ("prompts: [x, x]", "prompts names x twice"),
        ("prompts: x\nfloor_seeds: [1, 1]", "floor_seeds names 1 twice"),
        ("prompts: x\nplacebos: [noise, noise]", "placebos names noise twice"),
        ("prompts: x\nplacebos: [noise, transplant]\nmask: auto", "leave either out"),
        ("prompts: x\nseeds: [1]", "share 1"),
        ("prompts: x\nprimary: {alpha: 2}", "primary.alpha"),
        ("prompts: x\nphotos: ../elsewhere", "--set photos="),
        ("prompts: x\nphotos: /etc", "--set photos="),
        ("prompts: x\nmodel: embedded+/etc/x.safetensors", "--set model="),
        ("- a list", "YAML mapping"),
        ("prompts: [", "not a YAML file"),
        ("prompts: x\nbatch: 0", "batch"),
        ("prompts: x\nbatch: true", "batch: true and false are no numbers"),
        ("prompts: x\nseeds: [0, true]", "seeds: true and false are no numbers"),
        ("prompts: x\nprompts: y", "the key 'prompts' is there twice"),
        ("prompts: x\nprotections: []", "protections: needs at least one entry"),
        ("prompts: x\neditors: []", "editors: needs at least one entry"),
        ("prompts: x\ntitle: 2026", "title: should be text"),
        ("prompts: x\nphotos: [a]", "photos: should be text"),
        ("prompts: {a: b}", "prompts: should be a list"),
        ("prompts: x\nnames: {gray: encoder}", "gray is the name of something else"),
        ("prompts: x\nnames: {encoder: encoder}", "encoder is the name of something else"),
        ("prompts: x\nnames: {'a:b': encoder}", "'a:b' is no name"),
        (
            "prompts: x\nnames: {mine: 'encoder:budget=0.1'}\nprotections: mine\n"
            "budgets: [2/255, 4/255, 8/255, 16/255]",
            "name either",
        ),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, text, message):
    with pytest.raises(UserError) as caught:
        load_trial(write(tmp_path, text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("setting", ["seeds", "sedes=[1]", "seeds=[", "prompts.a=1"])
def test_bad_settings_are_refused(tmp_path, setting):
    with pytest.raises(UserError):
        load_trial(write(tmp_path, "prompts: x"), [setting])


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(UserError, match="no such trial file"):
        load_trial(tmp_path / "nope.yaml")


def test_paths_in_the_file_are_relative_to_it(tmp_path):
    (tmp_path / "pictures").mkdir()
    trial = load_trial(write(tmp_path, "prompts: x\nphotos: pictures"))
    assert trial.photos == str(tmp_path / "pictures")
    assert load_trial(write(tmp_path, "prompts: x"), ["photos=/elsewhere"]).photos == "/elsewhere"


def test_trials_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Trial(prompts=("x",)).title = "other"


def test_a_protection_goes_by_its_short_name(tmp_path):
    text = "prompts: x\nnames: {mine: 'encoder:steps=3'}\nprotections: [mine, photoguard-encoder]"
    trial = load_trial(write(tmp_path, text))
    assert trial.arms[2:5] == ("mine", "photoguard-encoder", "noise(mine)")
    assert trial.written_out("mine") == "encoder:steps=3"
    assert trial.written_out("photoguard-encoder") == "photoguard-encoder"
    swept = load_trial(write(tmp_path, text), ["budgets=[2/255,4/255,8/255,16/255]"])
    assert swept.written_out(swept.protection_arms[0]) == "encoder:steps=3,budget=2/255"
    assert swept.written_out(swept.protection_arms[4]) == "photoguard-encoder:budget=2/255"


def test_every_field_is_documented():
    text = (Path(__file__).parents[2] / "docs" / "trials.md").read_text(encoding="utf-8")
    fields = [*Trial.model_fields, *Primary.model_fields]
    assert [field for field in fields if f"| `{field}` |" not in text] == []


def test_the_documented_trial_can_be_read(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "trials.md").read_text(encoding="utf-8")
    trial = load_trial(write(tmp_path, text.partition("```yaml\n")[2].partition("```")[0]))
    assert trial.protections[0] in trial.names


def test_a_folder_may_be_named_by_a_year(tmp_path):
    (tmp_path / "2026").mkdir()
    assert load_trial(write(tmp_path, "prompts: x\nphotos: 2026")).photos == str(tmp_path / "2026")


def test_a_link_that_leads_to_itself_is_no_folder_of_photos(tmp_path):
    (tmp_path / "round").symlink_to(tmp_path / "round")
    assert load_trial(write(tmp_path, "prompts: x\nphotos: round")).photos == "round"


def test_a_components_files_lie_in_the_trials_folder(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    for path in ("outside.png", "a=b.png", "65", "gray", "sub/inside.png"):
        (tmp_path / path).write_bytes(b"a picture")
    text = "prompts: x\ntransforms: ['jpeg:quality=65']\nprotections: ['mist:target={}', encoder]"
    monkeypatch.chdir(tmp_path / "sub")
    for target in ("inside.png", "gray", "not-there.png"):
        found = load_trial(write(tmp_path / "sub", text.format(target)))
        assert found.protections == (f"mist:target={target}", "encoder")
    quoted = ('"../outside.png"', "!!str ../outside.png", "../a=b.png")
    for target in ("../outside.png", tmp_path / "outside.png", "/etc/passwd", *quoted):
        with pytest.raises(UserError, match="outside the folder of that file"):
            load_trial(write(tmp_path / "sub", text.format(target)))
    monkeypatch.chdir(tmp_path)
    load_trial(write(tmp_path / "sub", text.format("sub/inside.png")))
    for more in (
        "names: {mine: 'encoder:with_models=[embedded,/etc/passwd]'}",
        "editors: ['ip-adapter:adapter=/etc/passwd']",
        "models: {embedded: ['ip-adapter:adapter=/etc/passwd']}",
        "transforms: ['flip+jpeg:quality=/etc/passwd']",
    ):
        with pytest.raises(UserError, match="outside the folder of that file"):
            load_trial(write(tmp_path / "sub", f"prompts: x\n{more}"))

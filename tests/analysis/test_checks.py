import dataclasses
from pathlib import Path

import pytest
import torch

from brittle.analysis import Evidence, ProtectedFile
from brittle.analysis.checks import FLAGS
from brittle.budgets import LinfBudget
from brittle.images import quantise
from brittle.record.rows import Row
from tests.analysis.trials import ARM, JPEG, PLACEBO, build, find, summary_of, trial


def original(transform: str, reference: str, value: float) -> list[Row]:
    return [
        Row(f"p{photo:02}", "original", transform, "img2img", "as a painting", seed,
            "perceptual.distance", reference, value)
        for photo in range(12)
        for seed in range(2)
    ]  # fmt: skip


GOOD = build(trial(0.6, 0.3)) + original(JPEG, "clean", 0.2) + original("none", "seed", 0.3)


JUDGED = [("original", "none"), ("original", JPEG), (ARM, "none"), (PLACEBO, "none")]


def with_metric(rows, name: str):
    return [dataclasses.replace(row, metric=f"{name}.distance") for row in rows]


def over_collections(distances):
    return [dataclasses.replace(row, reference="originals") for row in build(distances)]


def file(**fields):
    return Evidence(protected=(ProtectedFile(photo="p00", arm=ARM, **fields),))


PROVOKED = {
    "saturated": (build(trial(0.85, 0.3)), Evidence()),
    "scale-dependent": (GOOD + with_metric(build(trial(0.6, 0.55)), "lpips"), Evidence()),
    "within seed noise": (build(trial(0.6, 0.3)) + original("none", "seed", 0.7), Evidence()),
    "loss did not fall": (GOOD, file(first_loss=1.0, last_loss=1.0)),
    "gradient vanished": (GOOD, file(gradient_vanished=True)),
    "budget exceeded": (GOOD, file(used=1.01)),
    "budget unused": (GOOD, file(used=0.4)),
    "saved file differs": (GOOD, file(saved_as_optimised=False)),
    "protection did nothing": (build(trial(0.0, 0.3), noise=0), Evidence()),
    "transform did nothing": (
        build(trial(0.6, 0.3)) + original(JPEG, "clean", 0.0),
        Evidence(),
    ),
    "editor ignored the photo": (build(trial(0.6, 0.3, gray=0.0), noise=0), Evidence()),
    "editor did nothing": (GOOD, Evidence(unedited=3)),
    "seed did nothing": (build(trial(0.6, 0.3)) + original("none", "seed", 0.0), Evidence()),
    "JPEG traces": (GOOD, Evidence(jpeg_traces=("p03",))),
    "nothing learned": (
        over_collections(trial(0.6, 0.3) | {("original", "none"): 0.2, ("original", JPEG): 1.2}),
        Evidence(),
    ),
    "prompt cut": (GOOD, Evidence(cut_prompts=("a very long prompt",))),
    "judgements missing": (
        [
            *build(trial(0.6, 0.3), usable=dict.fromkeys(JUDGED, 0.9)),
            Row("p00", ARM, JPEG, "img2img", "as a painting", 0, "usable", "photo", 1.0),
        ],
        Evidence(),
    ),
    "no placebo": ([row for row in GOOD if row.arm != PLACEBO], Evidence()),
    "usable is not judged": (GOOD, Evidence()),
}


@pytest.mark.parametrize("name", PROVOKED)
def test_each_flag_is_provoked(name):
    rows, evidence = PROVOKED[name]
    (flag,) = find(summary_of(rows, evidence=evidence), name)
    assert (flag.meaning, flag.todo, flag.stops_verdict) == FLAGS[name]
    assert flag.where


def test_every_flag_has_its_provocation_and_its_paragraph():
    assert set(PROVOKED) == set(FLAGS)
    document = (Path(__file__).parents[2] / "docs" / "flags.md").read_text(encoding="utf-8")
    for name, (meaning, todo, stops) in FLAGS.items():
        section = document.partition(f"### {name}\n")[2].partition("\n##")[0]
        text = " ".join(section.split())
        assert meaning in text, name
        assert todo in text, name
        assert ("No verdict is given" in text) == stops, name


def test_a_sound_trial_raises_no_flag_but_for_what_it_did_not_judge():
    usable = {
        (arm, transform): 0.9 for arm in ("original", ARM, PLACEBO) for transform in ("none", JPEG)
    }
    rows = GOOD + build({}, usable=usable)
    evidence = Evidence(
        protected=(
            ProtectedFile(
                photo="p00", arm=ARM, first_loss=2.0, last_loss=1.0, gradient_vanished=False,
                used=1.0, saved_as_optimised=True,
            ),
        ),
    )  # fmt: skip
    assert summary_of(rows, evidence=evidence).flags == ()


def test_a_flip_that_is_undone_without_an_edit_is_no_sign_of_a_fault():
    rows = build(trial(0.6, 0.3)) + original(JPEG, "clean", 0.0)
    unedited = [dataclasses.replace(row, editor="none") for row in rows]
    assert not find(summary_of(unedited), "transform did nothing")


SILENT = (
    "protection did nothing",
    "transform did nothing",
    "editor ignored the photo",
    "editor did nothing",
)


@pytest.mark.parametrize(
    ("flag", "rows", "evidence"),
    [
        *((name, *PROVOKED[name]) for name in SILENT),
        ("transform did nothing", GOOD, Evidence(idle=(JPEG,))),
    ],
)
def test_what_silently_did_nothing_stops_the_verdict(flag, rows, evidence):
    assert summary_of(GOOD).verdict(ARM, JPEG).word != "no verdict"
    found = summary_of(rows, evidence=evidence).verdict(ARM, JPEG)
    assert (found.word, found.rule, found.attacker) == ("no verdict", 0, "not judged")
    assert found.why.startswith(f"{flag}: ")


def test_a_transform_that_did_nothing_stops_only_its_own_verdict():
    evidence = Evidence(idle=("flip",))
    assert summary_of(GOOD, evidence=evidence).verdict(ARM, JPEG).word != "no verdict"


def test_flags_about_files_count_the_photos_of_their_arm():
    evidence = Evidence(
        protected=tuple(
            ProtectedFile(photo=f"p{i}", arm=ARM, used=used)
            for i, used in enumerate((0.9, 1.2, 1.3))
        )
    )
    (flag,) = find(summary_of(GOOD, evidence=evidence), "budget exceeded")
    assert flag.where == "shield, 2 of 3 photos"
    assert flag.arm == ARM


def test_a_budget_is_not_exceeded_by_the_rounding_of_float32():
    image = torch.arange(256, dtype=torch.float32).div(255).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    budget = LinfBudget(radius=4 / 255)
    moved = torch.where(image < 0.5, image + 4 / 255, image - 4 / 255)
    used = float(budget.spent(image, quantise(moved)) / budget.radius)
    evidence = Evidence(protected=(ProtectedFile(photo="p", arm=ARM, used=used),))
    assert used != 1
    assert not find(summary_of(GOOD, evidence=evidence), "budget exceeded")

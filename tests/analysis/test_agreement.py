"""Cohen's kappa by closed form, its interval by simulation, and marks as a person writes them."""

import json

import numpy as np
import pytest

from brittle.analysis.agreement import (
    SheetKey,
    agreement,
    cohens_kappa,
    kappa_interval,
    keep_marks,
    kept_marks,
    parse_marks,
    pseudo_values,
)
from brittle.analysis.intervals import mean_interval
from brittle.errors import UserError
from tests.analysis.trials import ARM, JPEG, build

KEY = SheetKey(
    sheet="abcd1234",
    edits=tuple(("p00", "original", "none", "e", "a prompt", seed) for seed in range(3)),
)
HEAD = "sheet,number,usable\n"


def weighted_kappa(one, other):
    """Kappa as scikit-learn has it: 1 - sum(w O) / sum(w E), from the confusion matrix."""
    observed = np.zeros((2, 2))
    for a, b in zip(one, other, strict=True):
        observed[int(a), int(b)] += 1
    expected = np.outer(observed.sum(1), observed.sum(0)) / observed.sum()
    weights = 1 - np.eye(2)
    return 1 - (weights * observed).sum() / (weights * expected).sum()


def test_kappa_is_that_of_the_confusion_matrix():
    random = np.random.default_rng(0)
    for rate in (0.1, 0.5, 0.8):
        one = random.random(60) < rate
        other = one ^ (random.random(60) < 0.3)
        assert cohens_kappa(one, other) == pytest.approx(weighted_kappa(one, other), abs=1e-12)


def test_kappa_of_a_table_from_a_textbook():
    # 20 both yes, 15 both no, 5 and 10 apart: p_o .7, p_e .5, so .4.
    one = np.repeat([True, True, False, False], [20, 5, 10, 15])
    other = np.repeat([True, False, True, False], [20, 5, 10, 15])
    assert cohens_kappa(one, other) == pytest.approx(0.4)


def test_one_verdict_throughout_has_no_kappa():
    same = np.ones(10, bool)
    assert cohens_kappa(same, same) is None
    assert kappa_interval(same, same, [np.arange(10) < 5, np.arange(10) >= 5]) is None


def test_full_agreement_on_few_photos_is_not_certain():
    names = np.repeat(np.arange(8), 4)
    verdicts = np.arange(32) % 2 == 0
    found = kappa_interval(verdicts, verdicts, [names == name for name in range(8)])
    assert (found.estimate, found.high) == (1, 1)
    assert found.low < 0.8
    assert kappa_interval(verdicts[:16], verdicts[:16], [names[:16] == i for i in range(4)]).note


@pytest.mark.parametrize(
    ("photos", "each", "wrong", "plain"), [(8, 12, 0.2, 0.95), (20, 5, 0.05, 0.88)]
)
def test_intervals_cover_where_a_photos_edits_are_alike(photos, each, wrong, plain):
    """Where the plain jackknife does not: it covers at most ``plain``."""
    random = np.random.default_rng(3)
    masks = [np.repeat(np.arange(photos), each) == photo for photo in range(photos)]

    def draw(number):
        usable = random.random((number, each)) < random.beta(2, 2, (number, 1))
        chance = random.beta(4 * wrong, 4 * (1 - wrong), (number, 1))
        return usable.ravel(), (usable ^ (random.random((number, each)) < chance)).ravel()

    truth = cohens_kappa(*draw(20000))
    drawn = [draw(photos) for _ in range(300)]

    def covered(intervals):
        return np.mean([one is not None and one.low <= truth <= one.high for one in intervals])

    assert covered(kappa_interval(*one, masks) for one in drawn) >= 0.93
    assert covered(mean_interval(pseudo_values(*one, masks), 0.025) for one in drawn) <= plain


def rows_and_marks(wrong=0):
    """Judged edits of 10 photos, and a person who disagrees on the first ``wrong`` of them."""
    rows = build({}, photos=10, points=3, usable={("original", "none"): 0.5, (ARM, JPEG): 0.2})
    marks = {
        row.key[:6]: bool(row.value) ^ (number < wrong) for number, row in enumerate(sorted(
            rows, key=lambda row: row.key))
    }  # fmt: skip
    return rows, marks


def test_agreement_counts_what_both_said():
    rows, marks = rows_and_marks(wrong=6)
    found = agreement(rows, marks)
    assert found.marked == found.n == 60
    assert found.photos == 10
    assert found.person_only + found.brittle_only == 6
    assert found.both + found.neither == 54
    assert "agrees with usable on 54 of 60 edits of 10 photos" in found.sentence
    person, judged = ([marks[r.key[:6]] for r in rows], [bool(r.value) for r in rows])
    assert found.kappa.estimate == pytest.approx(weighted_kappa(person, judged))


def test_nobody_marked_anything():
    rows, _ = rows_and_marks()
    assert agreement(rows, {}).sentence == "Usable was not validated by a person."
    assert agreement(rows, {}).kappa is None


def test_marks_without_judgements_are_no_agreement():
    _, marks = rows_and_marks()
    assert "nothing to compare" in agreement([], marks).sentence


def test_a_spreadsheet_s_marks_are_read():
    text = "\ufeffSheet;Number;Usable\nabcd1234;2;No\n\nabcd1234;1;YES\nabcd1234;3;\n"
    assert parse_marks(text, KEY) == {1: True, 2: False}
    assert parse_marks(text.replace(";", "\t"), KEY) == {1: True, 2: False}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("abcd1234,1,maybe", "line 2: 'maybe' is neither yes nor no"),
        ("abcd1234,4,yes", "numbers are 1 to 3, not '4'"),
        ("abcd1234,x,yes", "not 'x'"),
        ("other,1,yes", "of the sheet 'other', not of abcd1234"),
        ("abcd1234,1,yes\nabcd1234,1,no", "number 1 is marked twice"),
    ],
)
def test_wrong_marks_are_one_sentence(line, complaint):
    with pytest.raises(UserError, match=complaint):
        parse_marks(HEAD + line + "\n", KEY)


def test_a_table_with_other_columns_is_refused():
    with pytest.raises(UserError, match="first line must be sheet,number,usable"):
        parse_marks("number,usable\n1,yes\n", KEY)


def test_marks_stay_in_the_trials_folder(tmp_path):
    with pytest.raises(UserError, match="has no sheet"):
        keep_marks(tmp_path, tmp_path / "marks.csv")
    (tmp_path / "sheet.json").write_text(KEY.model_dump_json())
    assert kept_marks(tmp_path) == {}
    (tmp_path / "marks.csv").write_text(HEAD + "abcd1234,1,\nabcd1234,2,yes\n")
    assert keep_marks(tmp_path, tmp_path / "marks.csv") == 1
    assert kept_marks(tmp_path) == {KEY.edits[1]: True}
    (tmp_path / "marks.csv").write_text(HEAD)
    with pytest.raises(UserError, match="holds no marks yet"):
        keep_marks(tmp_path, tmp_path / "marks.csv")
    (tmp_path / "sheet.json").write_text(KEY.model_copy(update={"sheet": "new"}).model_dump_json())
    with pytest.raises(UserError, match="of another sheet"):
        kept_marks(tmp_path)
    (tmp_path / "marks.json").write_text(json.dumps(["what"]))
    with pytest.raises(UserError, match="not a file that brittle wrote"):
        kept_marks(tmp_path)

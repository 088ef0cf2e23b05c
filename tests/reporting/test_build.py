"""The report as a whole: what stands in the file, whatever the folder holds."""

import base64
import io
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import brittle
from brittle.analysis.finished import Finished
from brittle.declaration.primary import Margins
from brittle.record.manifest import Written
from brittle.record.record import Record
from brittle.record.store import FolderStore
from brittle.reporting.build import REPORT, build_report, render
from brittle.reporting.formatting import unscoped
from brittle.reporting.glossary import glossary
from brittle.reporting.pictures import FIRST_SIDE, SIDE
from brittle.reporting.plain import plain_answers
from tests.reporting.made import NOISE, PROMPTS, PROTECTION, finish, make_trial

TWO = ("none", "jpeg:quality=75")
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """The tags of a report, its visible text, and its ids."""

    VOID = frozenset({"meta", "img", "input", "br", "link"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attributes}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attributes}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def report_of(record: Record) -> Page:
    return Page(render(finish(record)))


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finish(make_trial(tmp_path_factory.mktemp("trial") / "store"))


@pytest.fixture(scope="module")
def store(trial: Finished) -> Path:
    return trial.record.directory


@pytest.fixture(scope="module")
def html(store: Path) -> str:
    return (store / REPORT).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_writes_one_file_and_touches_nothing_else(tmp_path: Path) -> None:
    trial = finish(make_trial(tmp_path / "store", count=2, transforms=TWO))
    store = tmp_path / "store"
    (store / REPORT).unlink()
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}
    assert build_report(trial) == store / REPORT
    after = {path: path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}
    assert set(after) - set(before) == {store / REPORT}
    assert all(after[path] == when for path, when in before.items())


def test_a_report_reads_each_of_the_folders_files_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = make_trial(tmp_path / "store", count=1, transforms=TWO)
    read: Counter[str] = Counter()
    for name in ("read_bytes", "read_text"):
        method = getattr(Path, name)

        def counted(path: Path, *args: object, method: Callable = method, **options: object):
            read[path.name] += 1
            return method(path, *args, **options)

        monkeypatch.setattr(Path, name, counted)
    brittle.report(record.directory)
    files = ("manifest.json", "index.json", "results.csv", "summary.json")
    assert [read[name] for name in files] == [1, 1, 1, 0]


def test_the_half_life_is_a_band_over_quality_and_a_sentence_below(trial: Finished, html: str):
    life = trial.summary.jpeg_half_life(PROTECTION)
    assert (life.low, life.high) == (75, 95)
    (figure,) = [part for part in html.split("<figure") if ">Retention over JPEG" in part]
    assert 'class="band"' in figure
    assert ">half-life<" in figure
    assert life.sentence in figure


def test_the_attacker_and_what_was_not_tried_stand_beside_the_worst_case(
    tmp_path: Path, page: Page
) -> None:
    declared = {
        "threat_model": "They have the file <alone>.",
        "not_tried": ["DiffPure", "noisy upscaling"],
    }
    written = Written(as_written={}, resolved=declared)
    text = report_of(make_trial(tmp_path / "store", transforms=TWO, trial=written)).text
    worst = text[text.index("If the attacker chooses the transform") :]
    assert "The attacker: They have the file <alone>." in worst
    assert worst.index("The attacker:") < worst.index("Not tried: DiffPure; noisy upscaling.")
    assert "If the attacker chooses the transform" in page.text
    assert "The attacker:" not in page.text
    assert "Not tried:" not in page.text


def test_the_worst_case_shows_every_line_beside_the_unprotected_photo(page: Page) -> None:
    worst = page.text[page.text.index("If the attacker chooses the transform") :]
    names = ("any that works", "with the original at hand", "own score", "one for all")
    places = [worst.index(name) for name in names]
    assert places == sorted(places)
    assert "unprotected, per 100" in worst[: places[0]]
    assert "its usable edits, since the thresholds of usable are not at hand" in worst


def test_same_folder_same_bytes(store: Path, html: str) -> None:
    assert render(Finished.open(store)) == html


def test_every_element_is_closed_and_every_id_is_used_once(page: Page) -> None:
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        for name in ("aria-labelledby", "for"):
            assert set(attributes.get(name, "").split()) <= set(ids)
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids


def test_first_screen_says_counts_with_scope_and_placebo(page: Page, trial: Finished) -> None:
    summary = trial.summary
    answer = page.text[page.text.index("The answer") :]
    (plain,) = plain_answers(summary)
    assert answer.startswith(f"The answer {plain} {summary.scope.statement}. ")
    assert re.match(r"JPEG 75 \w+ the protection: \d+ of 16 edits of protected photos are", plain)
    said = unscoped(summary, summary.headline.sentence)
    numbers = answer.index(said)
    assert answer.index("typical photo") < numbers
    answer = answer[numbers:]
    assert answer.startswith(f"{said} {PROTECTION} : {summary.outcomes[0].sentence}")
    assert answer.startswith("White-box (made against the model that edits), ")
    first = answer[: answer.index(". ")]
    assert ", 2 prompts (which the intervals do not cover), usable edits: " in first
    assert "16 with plain noise" in first
    assert "; with whichever of 4 transforms or none works, a share of " in first


def test_several_protections_have_a_line_each(trial: Finished) -> None:
    (alone,) = plain_answers(trial.summary)
    arms = (PROTECTION, "second", "third", *"abcdefg")
    declared = trial.summary.primary.model_copy(update={"arms": arms})
    shown = {
        field: tuple(
            one.model_copy(update={"arm": arm if one.arm == PROTECTION else one.arm})
            for one in getattr(trial.summary, field)
            for arm in (arms if one.arm == PROTECTION else arms[:1])
        )
        for field in ("effects", "usable", "verdicts")
    }
    many = trial.summary.model_copy(update={"primary": declared, **shown})
    *lines, last = plain_answers(many)
    assert lines == [f"{arm}: {alone}" for arm in arms[:8]]
    assert last == "2 more protections stand below."
    few = trial.summary.model_copy(update={"primary": declared})
    assert plain_answers(few) == [f"{PROTECTION}: {alone}"]  # of the others nothing is known


def test_shows_median_largest_and_smallest_effect(page: Page, trial: Finished) -> None:
    summary = trial.summary
    effects = summary.effect(PROTECTION, "none").per_photo
    ranked = sorted(effects, key=effects.__getitem__)
    for words, photo in (
        ("largest effect", ranked[-1]),
        ("smallest effect", ranked[0]),
        ("typical photo", ranked[3]),
    ):
        assert f"{photo}: {words} effect {effects[photo]:.3f}" in page.text


def test_table_has_numbers_intervals_verdicts_and_n(page: Page, trial: Finished) -> None:
    summary = trial.summary
    effect = summary.effect(PROTECTION, "jpeg:quality=75")
    row = page.text[page.text.index("photoguard-encoder , metric perceptual") :]
    row = row[row.index("JPEG 75 ★") : row.index("JPEG 30")]
    rates = [summary.usable_of(arm, "jpeg:quality=75") for arm in ("original", NOISE, PROTECTION)]
    expected = [f"{one.usable} of 16 [" for one in rates]
    expected.append(
        f"{effect.reach.estimate:.2f} [{effect.reach.low:.2f}, {effect.reach.high:.2f}] "
        f"{100 * effect.retention.estimate:.0f} %"
    )
    verdict = summary.verdict(PROTECTION, "jpeg:quality=75")
    word = verdict.label.partition("; ")[0]
    expected.append(f"{word} {verdict.attacker} 8 16 edits")
    position = 0
    for words in expected:
        position = row.index(words, position)


def test_exploratory_transforms_get_no_verdict_word(page: Page) -> None:
    row = page.text[page.text.index("photoguard-encoder , metric perceptual") :]
    row = row[row.index("JPEG 30") : row.index("The placebo is")]
    assert row.count("exploratory") == 2
    assert not re.search(r"\b(broken|weakened|survived|open|closed)\b", row)


def test_nothing_comes_from_outside_the_file(html: str, page: Page) -> None:
    assert not re.search(r"(?:src|href|srcset|action|data)\s*=\s*[\"']?\s*(?:https?:)?//", html)
    assert not re.search(r"@import|url\((?!#)", html)
    assert not page.all("link")
    assert not page.all("iframe")
    for attributes in page.all("img"):
        assert attributes["src"].startswith("data:image/webp;base64,")
    policy = page.all("meta")[-1]["content"]
    assert policy.startswith("default-src 'none'; img-src data:")
    assert "'unsafe-inline'" not in policy.partition("script-src")[2]


def test_every_picture_and_figure_has_words(page: Page) -> None:
    pictures = page.all("img")
    assert len(pictures) > 8 * 5 * 3 * 2
    assert all(attributes["alt"] for attributes in pictures)
    charts = page.all("svg")
    assert len(charts) == 5
    assert all(attributes["role"] == "img" for attributes in charts)
    assert page.text.count("The numbers of this figure") == len(charts)


def opened(src: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(src.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB"))


def links(page: Page) -> list[tuple[dict[str, str], str]]:
    """The links around pictures, and what each picture's image shows."""
    return [
        (link, image["src"])
        for (tag, link), (inside, image) in pairwise(page.tags)
        if (tag, inside) == ("a", "img")
    ]


def test_pictures_that_have_room_are_in_the_page_pixel_by_pixel(page: Page, store: Path) -> None:
    shown = links(page)
    assert len(shown) > 8 * 5 * 3 * 2
    assert not [link for link, _ in shown if "preview" in link["class"]]
    assert "preview" not in page.text
    for link, src in shown[::10]:
        with Image.open(store / link["href"]) as image:
            np.testing.assert_array_equal(opened(src), np.asarray(image.convert("RGB")))


def test_hostile_names_and_prompts_are_words_and_nothing_else(tmp_path: Path) -> None:
    record = make_trial(
        tmp_path / "store",
        photos=(HOSTILE, "</title>", "{{ 7 * 7 }}", "../../x"),
        count=4,
        transforms=TWO,
        prompts=(HOSTILE, "</script><b>"),
        title=HOSTILE,
    )
    page = report_of(record)
    assert len(page.all("script")) == 1
    assert not page.all("b") or all(not attributes for attributes in page.all("b"))
    assert not [one for _, one in page.tags if any(name.startswith("on") for name in one)]
    assert page.open == []
    assert page.text.count(HOSTILE) > 4
    assert "{{ 7 * 7 }}" in page.text


def test_scripts_hash_is_the_one_that_the_policy_allows(html: str) -> None:
    import hashlib

    script = html.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html


def test_few_photos_are_an_illustration_without_intervals_or_verdict(tmp_path: Path) -> None:
    page = report_of(make_trial(tmp_path / "store", count=4))
    assert "an illustration on 4 photos" in page.text
    assert "all 4 of 4 photos" in page.text
    table = page.text[page.text.index("photoguard-encoder , metric perceptual") :]
    table = table[: table.index("The placebo is")]
    assert not re.search(r"\[[\d.]+, [\d.]+\]", table)
    assert table.count("no verdict") == 4
    assert "bars are 95 % intervals" not in page.text


def test_null_usable_is_said_with_its_reason(tmp_path: Path) -> None:
    reason = "the threshold of keep lies below what two different photos share"
    page = report_of(make_trial(tmp_path / "store", usable_reason=reason))
    assert f"Usable edits are not judged: {reason}." in page.text
    assert "not judged" in page.text
    assert re.search(
        r"The answer \d+ of 16 edits of protected photos moved further than with noise of the same "
        r"size, \d+ of 16 after JPEG 75; by chance alone, half of them would\.",
        page.text,
    )
    assert len(page.all("svg")) == 3


def test_effect_too_weak_for_a_share_stands_alone(tmp_path: Path) -> None:
    page = report_of(make_trial(tmp_path / "store", strength=0.001))
    assert "reach stands alone: too weak for a share" in page.text
    assert not [one for one in page.all("svg") if "retention" in one["aria-labelledby"]]


def test_missing_and_damaged_pictures_are_said(tmp_path: Path) -> None:
    record = make_trial(tmp_path / "store", count=2, transforms=TWO)
    trial, store = finish(record), record.directory
    edits = [row.edited for row in record.index if row.arm == PROTECTION]
    (store / edits[0]).unlink()
    (store / edits[1]).write_bytes(b"no picture")
    whole = (store / edits[2]).read_bytes()
    (store / edits[2]).write_bytes(whole[: len(whole) // 2])
    page = Page(render(trial))
    assert "missing from the store" in page.text
    assert page.text.count("damaged file") >= 2


def test_paths_in_the_index_never_lead_out(tmp_path: Path) -> None:
    record = make_trial(tmp_path / "store", count=1, transforms=TWO)
    trial, store = finish(record), record.directory
    secret = tmp_path / "secret.png"
    Image.new("RGB", (24, 24), (1, 2, 3)).save(secret)
    (store / "artifacts" / "zz").mkdir()
    os.symlink(secret, store / "artifacts" / "zz" / "link.png")
    paths = ("../secret.png", str(secret), "artifacts/zz/link.png", "artifacts/../../secret.png")
    index = [
        *(replace(row, edited=path) for row, path in zip(record.index, paths, strict=False)),
        *record.index[len(paths) :],
    ]
    html = render(replace(trial, record=replace(record, index=index)))
    assert "secret" not in html
    assert "link.png" not in html
    assert "missing from the store" in Page(html).text


def test_pictures_beyond_the_limit_are_links_into_the_folder_and_said(tmp_path: Path) -> None:
    trial = finish(make_trial(tmp_path / "store", count=4))
    store = trial.record.directory
    page = Page(render(trial, limit=100_000))
    sources = [one["src"] for one in page.all("img")]
    assert all(source.startswith("data:") for source in sources)
    assert 50_000 < sum(map(len, sources)) < 100_000
    outside = [one for one in page.all("a") if "outside" in one.get("class", "")]
    assert len(outside) > 0
    assert all((store / one["href"]).is_file() for one in outside)
    assert f"{len(outside)} pictures had no room in this file" in page.text


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("large") / "store"
    return finish(make_trial(folder, count=1, side=512, transforms=TWO, prompts=PROMPTS[:1]))


def test_a_page_of_large_pictures_is_small_and_needs_nothing_beside_it(large: Finished) -> None:
    limit = 1_500_000
    html = render(large, limit=limit)
    page = Page(html)
    previews = {link["href"]: src for link, src in links(page) if "preview" in link["class"]}
    of_rows = [src for src in previews.values() if max(opened(src).shape) == SIDE]
    assert len(of_rows) > 5
    # The demo's 1,376 pictures (two prompts) then take 9 MB, and the first screen's have room.
    assert sum(map(len, of_rows)) / len(of_rows) < 6_500
    assert len(html) < limit + 200_000
    assert all(one["src"].startswith("data:image/webp;base64,") for one in page.all("img"))
    assert not [one for one in page.all("a") if "outside" in one.get("class", "")]


def test_what_is_seen_first_is_whole_and_the_rest_are_previews_of_it(large: Finished) -> None:
    page = Page(render(large, limit=4_000_000))
    shown = links(page)
    assert [opened(src).shape for _, src in shown[:3]] == [(512, 512, 3)] * 3
    for link, src in shown:
        picture = opened(src)
        assert picture.shape[0] in (512, FIRST_SIDE, SIDE)
        assert ("preview" in link["class"]) == (picture.shape[0] < 512)
        with Image.open(large.record.directory / link["href"]) as file:
            reduced = file.convert("RGB").resize(picture.shape[:2], Image.Resampling.LANCZOS)
        distance = np.abs(picture.astype(float) - np.asarray(reduced)).mean()
        assert distance < 10, link["href"]


def test_the_preview_of_a_perturbation_is_its_middle_pixel_by_pixel(large: Finished) -> None:
    page = Page(render(large, limit=1_500_000))
    (added,) = [
        opened(one["src"])
        for one in page.all("img")
        if one["alt"].startswith("What photoguard-encoder adds") and "astronaut" in one["alt"]
    ]
    assert added.shape == (SIDE, SIDE, 3)
    assert f"its middle, {SIDE} × {SIDE} pixels" in page.text
    released = {
        row.arm: np.asarray(Image.open(large.record.directory / row.released)).astype(int)
        for row in large.record.index
        if row.image == "astronaut"
    }
    difference = released[PROTECTION] - released["original"]
    times = 127 // np.abs(difference).max()
    middle = slice((512 - SIDE) // 2, (512 + SIDE) // 2)
    np.testing.assert_array_equal(added, (128 + times * difference)[middle, middle])


def test_trial_without_pictures_still_has_its_numbers(tmp_path: Path) -> None:
    page = report_of(make_trial(tmp_path / "store", pictures=False))
    assert "not computed" in page.text
    assert "JPEG 75 ★" in page.text


def test_masks_are_shown(tmp_path: Path) -> None:
    record = make_trial(tmp_path / "store", count=1, transforms=("none", "flip"))
    (photo,) = record.manifest.photos
    masked = photo.model_copy(update={"mask": record.index[0].edited})
    manifest = record.manifest.model_copy(update={"photos": (masked,)})
    trial = finish(record)
    page = Page(render(replace(trial, record=replace(record, manifest=manifest))))
    assert "astronaut, the mask: white may be edited" in [one["alt"] for one in page.all("img")]


def test_two_transforms_make_a_table_and_no_chart(tmp_path: Path) -> None:
    few = report_of(
        make_trial(tmp_path / "few", transforms=("none", "jpeg:quality=95", "jpeg:quality=75"))
    )
    assert "no numbers at three JPEG qualities" in few.text
    assert "JPEG 95" in few.text
    assert not few.all("svg")
    more = report_of(
        make_trial(tmp_path / "more", transforms=(*TWO, "jpeg:quality=95", "jpeg:quality=65"))
    )
    assert "no numbers at three JPEG qualities" not in more.text
    assert more.all("svg")


def test_credits_seeds_versions_and_flags_are_at_the_end(page: Page, trial: Finished) -> None:
    assert {flag.name for flag in trial.summary.flags} >= {"JPEG traces"}
    end = page.text[page.text.index("Scope and flags") :]
    for words in (
        "the photographer of astronaut, CC0",
        "0: 1234567",
        "torch 2.13.0",
        "0.1.0, git 0123abcd",
        *(flag.meaning for flag in trial.summary.flags),
        *(flag.todo for flag in trial.summary.flags),
        "The trial, with every default",
        "jpeg(quality = 75, subsampling = 4:2:0",
    ):
        assert words in end


def test_page_is_small_beside_its_pictures(html: str, page: Page) -> None:
    pictures = sum(len(one["src"]) for one in page.all("img"))
    assert len(html) - pictures < 500_000


def test_words_are_explained_with_the_margins_that_the_trial_declared(tmp_path: Path) -> None:
    record = make_trial(tmp_path / "store", pictures=False)
    margins = Margins(broken=0.3, survived=0.6)
    primary = record.manifest.primary.model_copy(update={"margins": margins})
    record = replace(record, manifest=record.manifest.model_copy(update={"primary": primary}))
    FolderStore(record.directory).write_manifest(record.manifest)
    words = report_of(record).text.partition("What the words mean")[2]
    assert "Less than 30 % of the effect is left" in words
    for one in glossary("photos", margins=margins):
        assert " ".join(one.text.split()) in words

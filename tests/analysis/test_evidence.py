"""What notes say of a trial's files beside its scores."""

import json

import pytest
import torch

from brittle.analysis.evidence import ProtectedFile, evidence_of
from brittle.editors import Img2Img
from brittle.images import digest, png_from_levels, quantise, to_bytes
from brittle.metrics.thresholds import Calibration, Errors
from brittle.models import load_model
from brittle.record.manifest import Manifest
from brittle.record.record import IndexEntry, Record

ARM, JPEG = "shield", "jpeg:quality={}"
QUALITIES = (90, 60, 30)


def component(label, **fields):
    return {"label": label, "record": {"name": label.partition(":")[0], "fields": fields}}


def manifest(**fields):
    jpegs = [component(JPEG.format(one), quality=one, subsampling="4:4:4") for one in QUALITIES]
    arms = {"original": "original", "gray": "ceiling", ARM: "protection"}
    return Manifest.model_validate({
        "schema_version": 1,
        "trial": {"as_written": {}, "resolved": {}},
        "primary": {},
        "model": {"name": "embedded", "size": 128},
        "arms": [{"label": label, "kind": kind} for label, kind in arms.items()],
        "transforms": [component("none"), component("flip"), *jpegs],
        "codecs": {"libjpeg-turbo": "3.1.2", "pillow": "13.0.0"},
        **fields,
    })  # fmt: skip


class Folder:
    """A record in the making: pictures of which something is noted, or nothing."""

    def __init__(self, directory):
        self.directory, self.index = directory, []
        (directory / "artifacts" / "00").mkdir(parents=True)

    def picture(self, note=None):
        path = (
            self.directory / "artifacts" / "00" / f"{len(list(self.directory.rglob('*.png')))}.png"
        )
        path.write_bytes(b"a picture")
        if note is not None:
            path.with_suffix(".json").write_text(json.dumps(note))
        return path.relative_to(self.directory).as_posix()

    def add(self, photo, arm, transform, **pictures):
        self.index.append(IndexEntry(photo, arm, transform, "img2img", "night", 0, **pictures))

    def evidence(self, **fields):
        return evidence_of(Record(self.directory, manifest(**fields), [], self.index))


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_a_protections_note_is_read_once_for_each_photo(folder):
    note = {"first_loss": 2.0, "last_loss": 1.0, "gradient_vanished": True, "budget_used": 0.5}
    for photo in ("p1", "p0"):
        released = folder.picture(note)
        folder.add(photo, ARM, "none", released=released)
        folder.add(photo, ARM, "flip", released=released)
    folder.add("p0", "original", "none", released=folder.picture(note))
    facts = {"first_loss": 2.0, "last_loss": 1.0, "gradient_vanished": True, "used": 0.5}
    assert folder.evidence().protected == (
        ProtectedFile(photo="p0", arm=ARM, **facts),
        ProtectedFile(photo="p1", arm=ARM, **facts),
    )


@pytest.mark.parametrize("changed", [False, True])
def test_a_saved_file_is_compared_with_what_was_optimised(folder, changed):
    image = quantise(torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    released = folder.picture({"digest": digest(image)})
    (folder.directory / released).write_bytes(
        png_from_levels(to_bytes(1 - image if changed else image)[0])
    )
    folder.add("p0", ARM, "none", released=released)
    (file,) = folder.evidence().protected
    assert file.saved_as_optimised is not changed


def test_a_transform_is_idle_that_changed_no_picture_but_gray_ones(folder):
    for transform, notes in (
        ("flip", [{"unchanged": True}] * 2),
        (JPEG.format(90), [{"unchanged": True}, None]),
    ):
        for arm, note in zip(("original", ARM), notes, strict=True):
            folder.add("p0", arm, transform, received=folder.picture(note))
        folder.add("p0", "gray", transform, received=folder.picture())
    folder.add("p0", "gray", JPEG.format(60), received=folder.picture({"unchanged": True}))
    assert folder.evidence().idle == ("flip",)


def test_edits_that_are_what_was_to_be_edited_are_counted(folder):
    same, other = folder.picture({"unchanged": True}), folder.picture()
    for photo, edited in (("p0", same), ("p1", same), ("p2", other)):
        folder.add(photo, "original", "none", edited=edited)
    assert folder.evidence().unedited == 1


def test_photos_from_jpeg_files_may_show_their_traces(folder):
    photos = [
        {"name": f"{kind}-{traces}", "source_format": kind, "jpeg_traces": traces}
        for kind in ("PNG", "JPEG")
        for traces in (True, False)
    ]
    assert folder.evidence(photos=photos).jpeg_traces == ("PNG-True",)


def test_what_a_ladder_of_jpegs_depends_on_stands_beside_it(folder):
    for photo, more in (("p0", 0.0), ("p1", 0.5)):
        for quality in QUALITIES:
            note = {"bits_a_pixel": quality / 100 + more}
            received = folder.picture(None if (photo, quality) == ("p1", 30) else note)
            folder.add(photo, "original", JPEG.format(quality), received=received)
    found = folder.evidence()
    encoder = {"encoder": "libjpeg-turbo 3.1.2 (Pillow 13.0.0)", "subsampling": "4:4:4"}
    assert found.codecs == {"jpeg": encoder}
    # Of quality 30 one photo's file was not noted, so there is no mean over the photos.
    assert found.bits_a_pixel == pytest.approx({JPEG.format(90): 1.15, JPEG.format(60): 0.85})
    elsewhere = folder.evidence(made="elsewhere")
    assert (elsewhere.codecs, elsewhere.bits_a_pixel) == ({}, {})


def test_two_qualities_are_no_ladder(folder):
    assert folder.evidence(transforms=manifest().to_json()["transforms"][:4]).codecs == {}


def test_a_record_without_a_folder_knows_nothing_of_its_files():
    entry = IndexEntry("p0", ARM, "none", "img2img", "night", 0, released="artifacts/00/1.png")
    (file,) = evidence_of(Record(None, manifest(), [], [entry])).protected
    assert file == ProtectedFile(photo="p0", arm=ARM)


def thresholds_of(folder, **changes):
    """What is known of two photos' thresholds on the embedded model, small and large."""
    model = load_model("embedded")
    calibration, editor = Calibration.of(model), Img2Img().resolve(model)
    photos = [
        {"name": name, "width": side, "height": side // 2}
        for name, side in (("small", 128), ("large", 4000))
    ]
    fields = {
        "model": {"name": "embedded", "size": 512},
        "photos": photos,
        "prompts": ["night", "a dragon"],
        "editors": [{"label": "short", "record": editor.record()}],
        "calibration": calibration.model_dump(),
    }
    return (
        folder.evidence(**fields | changes).usable_from,
        calibration,
        str(editor),
    )


def test_thresholds_are_those_of_the_photos_size_and_the_prompts_class(folder):
    found, calibration, editor = thresholds_of(folder)
    assert (found.follow, found.keep) == ("follow", "keep")
    for photo, size in (("small", 128), ("large", 512)):
        expected = calibration.find(editor, size=size)
        # There is no threshold for dragons.
        assert found.least[photo] == {"night": (expected.tau_follow["night"], expected.tau_keep)}
    assert found.least["small"] != found.least["large"]


def test_how_unsure_thresholds_are_is_known_where_the_calibration_says(folder):
    found, calibration, _ = thresholds_of(folder)
    assert (set(found.errors), found.photos) == ({"small", "large"}, 42)

    def with_errors(errors):
        some = (one.model_copy(update={"errors": errors}) for one in calibration.thresholds)
        whole = calibration.model_copy(update={"thresholds": tuple(some)})
        return thresholds_of(folder, calibration=whole.model_dump())[0].errors

    assert with_errors(None) == {}
    known = with_errors(Errors(tau_follow={"night": 0.01}, tau_keep=0.02))
    assert known["small"]["night"].follow == ("follow, night, 128 px", 0.01)
    assert known["large"]["night"].keep == ("keep, 512 px", 0.02)


def test_thresholds_that_are_not_there_are_not_at_hand(folder):
    assert thresholds_of(folder, calibration=None)[0] is None
    assert thresholds_of(folder, editors=[])[0] is None
    other = {"name": "img2img", "fields": {"strength": 0.9}, "family": "editor", "version": 99}
    assert thresholds_of(folder, editors=[{"label": "img2img", "record": other}])[0] is None

"""What reduction hides, on a real photo of 256 px and a model that looks at 128."""

import pytest
from skimage import data

import brittle
from brittle.auditing.reduction import SEEN, trace
from brittle.images import from_bytes, quantise, write_image
from brittle.reporting.audit import audit_text, render_audit
from brittle.transforms import Transform

JPEG = "jpeg:quality=75"


@pytest.fixture(scope="module")
def photo():
    return from_bytes(data.astronaut()[None, :256, 96:352])


def test_reduction_hides_jpeg_and_blur_and_no_geometry(photo, embedded):
    def seen(text: str) -> float:
        return trace(Transform.parse(text), photo, embedded, seed=0)

    assert seen(JPEG) < 0.6
    assert seen("gaussian-blur:sigma=1") < 0.6
    assert seen("flip+" + JPEG) == pytest.approx(seen(JPEG), abs=0.1)
    assert seen("flip") == seen("autoencode") == 1
    assert seen("upload-1080") < SEEN  # smaller than that already: JPEG alone
    small = quantise(embedded.fit(photo))
    assert trace(Transform.parse(JPEG), small, embedded, seed=0) == 1


def test_left_is_withheld_and_stands_for_the_reduced_photo(photo, embedded, tmp_path):
    protected = brittle.protect(photo, "photoguard-encoder:steps=8", model=embedded)
    for name, image in {"photo": photo, "protected": protected}.items():
        write_image(tmp_path / f"{name}.png", image)
        write_image(tmp_path / f"small-{name}.png", quantise(embedded.fit(image)))

    def audited(prefix: str):
        paths = (tmp_path / f"{prefix}{name}.png" for name in ("photo", "protected"))
        return brittle.audit(*paths, models=[embedded], transforms=[JPEG, "flip"], quick=True).found

    found = audited("")
    (result,) = found.document.photos[0].results
    none, jpeg, flip = result.comparisons
    assert none.test.stronger
    assert (none.reduced_first, jpeg.reduced_first, flip.reduced_first) == (False, True, False)
    assert jpeg.left is None
    assert jpeg.left_reason == "not seen at this size"
    assert flip.left is not None
    assert result.answer[0] == (
        "The embedded model sees this photo of 256 × 256 px at 128 × 128 px, as an editor of that "
        "size does. Reducing the photo hides most of what JPEG 75 would do at full size, so it was "
        "applied to the reduced photo, as happens to a copy that is downloaded small."
    )
    for shown in (audit_text(found.document), render_audit(found)):
        assert "JPEG 75, reduced first" in shown
        assert "not seen at this size" in shown
    (small,) = audited("small-").document.photos[0].results
    assert not small.reduced
    assert small.comparisons[1].left == pytest.approx(jpeg.left_reduced, abs=0.1)
    assert "reduced" not in " ".join(small.answer)


def written(folder, photo, boxes):
    """Pairs of crops of a photo: as it was, and 8 levels lighter."""
    for name, shift in (("left", 0.0), ("right", 8 / 255)):
        (folder / name).mkdir()
        for at, (left, top, right, bottom) in enumerate(boxes):
            image = quantise((photo + shift).clamp(0, 1)[..., top:bottom, left:right])
            write_image(folder / name / f"{at}.png", image)
    return [folder / "left", folder / "right"]


def test_a_size_between_those_that_a_model_takes_is_said_to_be_resampled(photo, embedded, tmp_path):
    folders = written(tmp_path, photo, [(60, 60, 103, 87), (90, 90, 133, 117)])
    report = brittle.audit(*folders, models=[embedded], transforms=[], quick=True)
    for one in report.found.document.photos:
        (result,) = one.results
        assert result.reduced
        assert "43 × 27 px at 40 × 24 px, the next smaller size that it takes" in result.answer[0]
    assert "40 × 24 px, reduced from 43 × 27" in report.text
    (first, _) = report.found.document.models[0].answer
    assert first.startswith("All 2 of 2 photos have sides that the embedded model doesn't take")


def test_a_chain_that_reduction_hides_is_named_whole(photo, embedded, tmp_path):
    folders = written(tmp_path, photo, [(0, 0, 200, 160), (40, 40, 240, 200)])
    chained = "flip+gaussian-blur:sigma=1+jpeg:quality=75"
    options = {"models": [embedded], "transforms": [JPEG, chained], "quick": True}
    found = brittle.audit(*folders, **options).found
    first, second = found.document.models[0].answer
    assert "All 2 of 2 photos are larger than 128 px" in first
    assert "what JPEG 75 and flip + Gaussian blur 1 + JPEG 75 would do at full size" in first
    assert "after reduction to 128 px + JPEG 75" in second

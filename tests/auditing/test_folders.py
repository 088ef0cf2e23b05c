"""What edits of eight photos say together, from the audits' own numbers."""

import pytest

from brittle.analysis.summary import Scope
from brittle.auditing.answers import scope_words
from brittle.auditing.document import ModelResult, ModelScope, PhotoAudit, PictureFile
from brittle.auditing.folders import over_photos
from tests.auditing.test_answers import comparisons

FILE = PictureFile(path="a.png", format="PNG", width=8, height=8, jpeg_traces=False, notes=())


def scope(photos: int) -> ModelScope:
    statement = scope_words("embedded", "128", photos)
    return ModelScope(
        scope=Scope(model="embedded", models=("embedded",), resolution=128, statement=statement),
        edits=True, why_no_edits="", editor="img2img", metric="perceptual", metric_reason="",
        left_out="", error=0.05, p=None, latents=(), summary=None, answer=(),
    )  # fmt: skip


def photos(number: int, after_jpeg: float) -> list[PhotoAudit]:
    """Noise lies at 1 to 1.9, a gray picture at 10; a photo's protection at 5 and a little."""
    found = []
    for at in range(number):
        shifts = (5 + at / 10, after_jpeg + at / 20, 5 + at / 8)
        result = ModelResult(
            model="embedded", width=128, height=128, reduced=False, answer=(), lead=0,
            comparisons=(*comparisons("latents", *shifts), *comparisons("edits", *shifts)),
        )  # fmt: skip
        found.append(
            PhotoAudit(
                name=f"p{at}", original=FILE, protected=FILE, unchanged=False, distortion=None,
                results=(result,), answer=(), flags=(),
            )
        )  # fmt: skip
    return found


@pytest.mark.parametrize(("after_jpeg", "word"), [(1.3, "broken"), (4.9, "survived"), (3, "weak")])
def test_eight_photos_get_the_verdicts_of_a_trial(after_jpeg, word):
    found = over_photos(scope(8), photos(8, after_jpeg))
    (verdict,) = found.summary.verdicts
    assert verdict.transform == "jpeg:quality=75"
    assert verdict.word.startswith(word)
    assert verdict.sentence in found.answer
    assert found.answer[0].startswith("On the embedded model (128 px; the intervals cover photos")
    assert found.answer[-1] == (
        "In brackets stands the range that fits with what these 8 photos show."
    )
    assert [effect.transform for effect in found.latents] == ["none", "jpeg:quality=75", "flip"]


def test_seven_photos_get_counts():
    found = over_photos(scope(7), photos(7, 1.3))
    assert found.summary is None
    assert found.latents == ()
    (said,) = found.answer
    assert found.p < 0.001
    assert (
        ": together, the 7 files act more strongly than noise of their size (p below 0.01). One by "
        "one, 7 of 7 act more strongly than every kind of it, as noise would in at most 1 of 20; 0 "
        "after JPEG 75, 7 after flip."
    ) in said
    assert said.endswith("This is an illustration on 7 photos: intervals and verdicts take 8.")


def test_files_of_noise_are_no_more_than_noise_together():
    found = photos(7, 1.3)
    noise = comparisons("edits", 1.4, 1.4, 1.4)
    for at, photo in enumerate(found):
        result = photo.results[0].model_copy(update={"comparisons": tuple(noise)})
        found[at] = photo.model_copy(update={"results": (result,)})
    audited = over_photos(scope(7), found)
    assert audited.p > 0.05
    assert "together, the 7 files do no more than noise of their size (p = 0.5" in audited.answer[0]
    assert over_photos(scope(1), found[:1]).p is None


def test_transforms_without_edits_count_among_those_tried():
    found = photos(8, 4.9)
    for at, photo in enumerate(found):
        (result,) = photo.results
        edited = [one for one in result.comparisons if one.seen == "latents" or one.name != "flip"]
        result = result.model_copy(update={"comparisons": tuple(edited)})
        found[at] = photo.model_copy(update={"results": (result,)})
    audited = over_photos(scope(8), found)
    assert audited.summary.outcomes[0].sentence == (
        "survived the 1 declared of 2 tried; no edits were made after flip"
    )
    assert any(
        said.startswith("Where nothing was edited, the encoder's shift that is left is 10")
        and said.endswith("after flip.")
        for said in audited.answer
    )
    assert ", not known whether white-box or black-box " in audited.answer[1]

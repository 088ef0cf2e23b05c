import dataclasses

import pytest

from brittle.analysis.conclusions import summarise_record
from brittle.declaration.primary import Primary
from brittle.protections import Protection
from brittle.record.arms import Arm
from brittle.record.manifest import Manifest, Model, Written
from brittle.record.record import Record
from tests.analysis.trials import ARM, JPEG, build, trial


def record_of(**protection):
    arms = [Arm.named(label) for label in ("original", "gray", f"noise({ARM})")]
    arms.append(Arm(label=ARM, kind="protection", **protection))
    manifest = Manifest(
        schema_version=1,
        trial=Written(as_written={"prompts": ["a"]}, resolved={}),
        primary=Primary(transforms=(JPEG,)),
        model=Model(name="embedded", size=128),
        arms=tuple(arms),
    )
    return Record(None, manifest, build(trial(0.6, 0.3)), ())


@pytest.mark.parametrize(
    ("record", "known"),
    [
        (Protection.parse("photoguard-encoder").record(), True),
        (Protection.parse("feed-forward").record(), True),
        (Protection.parse("universal").record(), True),
        ({**Protection.parse("encoder").record(), "name": "from-elsewhere"}, None),
        (None, None),
    ],
)
def test_white_box_is_said_of_what_was_optimised_on_the_trials_model(record, known):
    assert summarise_record(record_of(record=record)).scope.white_box is known


@pytest.mark.parametrize("said", [True, False])
def test_a_plugin_that_is_not_installed_here_is_what_it_said_when_it_ran(said):
    record = {**Protection.parse("encoder").record(), "name": "from-elsewhere"}
    found = summarise_record(record_of(record=record, white_box=said))
    assert found.scope.white_box is said


def test_on_another_model_a_finished_network_is_black_box():
    feed_forward = record_of(record=Protection.parse("feed-forward").record())
    elsewhere = feed_forward.manifest.model_copy(update={"model": Model(name="sd1", size=512)})
    found = summarise_record(Record(None, elsewhere, feed_forward.rows, ()))
    assert found.scope.white_box is False


def test_edits_made_elsewhere_do_not_say_whose_model_it_was():
    record = record_of(record=Protection.parse("encoder").record())
    elsewhere = record.manifest.model_copy(update={"made": "elsewhere"})
    found = summarise_record(Record(None, elsewhere, record.rows, ()))
    assert found.scope.white_box is None


FILES = Arm(label="files", kind="protection")
"""Protected files that are given: nobody says what they were made on."""


@pytest.mark.parametrize(("white_box", "word"), [(True, "white-box"), (False, "black-box")])
@pytest.mark.parametrize("older", [True, False])
def test_the_first_sentence_says_of_its_arm_what_that_is_beside_files(white_box, word, older):
    """An older folder's arms say nothing, and their components do."""
    said = {"record": Protection.parse("feed-forward").record()}
    record = record_of(**said, **({} if older else {"white_box": white_box}))
    manifest = record.manifest.model_copy(
        update={
            "model": Model(name="embedded" if white_box else "sd1", size=128),
            "arms": (*record.manifest.arms, FILES),
            "primary": Primary(arms=(ARM, "files"), transforms=(JPEG,)),
        }
    )
    beside = [dataclasses.replace(row, arm="files") for row in record.rows if row.arm == ARM]
    found = summarise_record(Record(None, manifest, [*record.rows, *beside], ()))
    assert found.scope.white_box is None
    assert f", for {ARM}, {word} (" in found.headline.sentence
    turned = manifest.model_copy(
        update={"primary": Primary(arms=("files", ARM), transforms=(JPEG,))}
    )
    found = summarise_record(Record(None, turned, [*record.rows, *beside], ()))
    assert ", for files, not known whether white-box or black-box (" in found.headline.sentence

"""Pictures are written while others are made; failures are not lost, and the order is kept."""

import threading

import numpy as np
import pytest

from brittle.errors import UserError
from brittle.record.store import FolderStore, artifact
from brittle.trial import behind as module
from brittle.trial.behind import behind

LEVELS = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)


def test_files_are_those_of_writing_at_once(tmp_path):
    with behind(FolderStore(tmp_path / "behind")) as store:
        for key in ("aa", "bb", "cc"):
            store.write_note(key, {"said": key})
            store.write_levels(key, LEVELS)
    at_once = FolderStore(tmp_path / "once")
    for key in ("aa", "bb", "cc"):
        at_once.write_note(key, {"said": key})
        at_once.write_levels(key, LEVELS)
        for path in (artifact(key), artifact(key).with_suffix(".json")):
            assert (tmp_path / "behind" / path).read_bytes() == (
                tmp_path / "once" / path
            ).read_bytes()


@pytest.fixture
def held(monkeypatch):
    """Writing waits until it is told to go on."""
    go_on, write = threading.Event(), FolderStore.write_levels

    def slowly(self, key, levels):
        assert go_on.wait(60)
        write(self, key, levels)

    monkeypatch.setattr(FolderStore, "write_levels", slowly)
    return go_on


def test_what_is_on_its_way_is_there_and_scores_wait_for_it(tmp_path, held):
    folder = FolderStore(tmp_path)
    with behind(folder) as store:
        store.write_levels("aa", LEVELS)
        assert store.has("aa")
        assert np.array_equal(store.read_levels("aa"), LEVELS)
        assert not folder.has("aa")
        held.set()
        store.write_cell("cell", {"scores": {}, "metrics": {}})
        assert folder.has("aa")


def test_no_more_is_on_its_way_than_fits(tmp_path, held, monkeypatch):
    monkeypatch.setattr(module, "PIXELS", 2 * 16 * 16)
    with behind(FolderStore(tmp_path)) as store:
        store.write_levels("aa", LEVELS)
        store.write_levels("bb", LEVELS)
        third = threading.Thread(target=store.write_levels, args=("cc", LEVELS))
        third.start()
        third.join(0.2)
        assert third.is_alive()
        held.set()
        third.join(60)
        assert not third.is_alive()


def test_a_full_disk_is_said_and_ends_the_work(tmp_path, monkeypatch):
    def full(self, key, levels):
        raise UserError("No space left.")

    monkeypatch.setattr(FolderStore, "write_levels", full)
    with pytest.raises(UserError, match="No space"), behind(FolderStore(tmp_path)) as store:
        store.write_levels("aa", LEVELS)


def test_work_that_fails_writes_only_what_has_begun(tmp_path, held, monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 1)

    def fail():
        for key in ("aa", "bb", "cc"):
            store.write_levels(key, LEVELS)
        held.set()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), behind(FolderStore(tmp_path)) as store:
        fail()
    assert not list(tmp_path.rglob("*.tmp"))

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch

from brittle.images import png_bytes, quantise
from brittle.parallel import threads_for
from brittle.progress import silent
from brittle.record.store import FolderStore, artifact
from brittle.transforms import Transform
from brittle.trial.stages import receiving
from brittle.trial.tasks import Reception, Release

RELEASES = ("aa", "ab", "ac")
TEXTS = [
    "jpeg:quality=50",
    "gaussian-noise:sigma=8/255+gaussian-blur:sigma=1",
    "rotate:degrees=5",
    "webp:quality=60",
]


@pytest.fixture
def work(tmp_path):
    """A plan of receptions without a model, and a store with what was released."""
    store = FolderStore(tmp_path / "out")
    image = quantise(torch.rand(1, 3, 40, 56, generator=torch.Generator().manual_seed(0)))
    releases = {key: Release(key, "photo", "original", 0) for key in RELEASES}
    for key in releases:
        store.write(key, image)
    transforms = {text: Transform.parse(text) for text in TEXTS}
    receptions = {
        f"{k:02}": Reception(f"{k:02}", RELEASES[k % 3], TEXTS[k % 4], k) for k in range(12)
    }
    plan = SimpleNamespace(
        photos={"photo": SimpleNamespace(image=image)},
        releases=releases,
        receptions=receptions,
        transforms=transforms,
    )
    return plan, store, image


@pytest.mark.parametrize("threads", [1, 7])
def test_files_are_those_of_one_after_another(work, monkeypatch, threads):
    plan, store, image = work
    monkeypatch.setattr("brittle.trial.stages.cores", lambda: threads)
    with receiving(plan, store, None, silent) as wait_for:
        wait_for("07")
        assert store.has("07")
        wait_for("aa")  # which nobody has to make
    for key, one in plan.receptions.items():
        alone = plan.transforms[one.transform].apply(image, seeds=[one.seed])
        assert (store.directory / artifact(key)).read_bytes() == png_bytes(alone)


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_no_more_is_submitted_than_threads_work(work, monkeypatch, threads):
    plan, store, _ = work
    submitted = []

    class Pool(ThreadPoolExecutor):
        def submit(self, *arguments):
            submitted.append(arguments)
            return super().submit(*arguments)

    monkeypatch.setattr("brittle.trial.stages.ThreadPoolExecutor", Pool)
    monkeypatch.setattr("brittle.trial.stages.cores", lambda: threads)
    with receiving(plan, store, None, silent):
        pass
    assert all(store.has(key) for key in plan.receptions)
    assert len(submitted) == min(threads, len(RELEASES))


def test_large_photos_are_passed_on_by_fewer_threads():
    assert threads_for(512 * 512, 16) == 16
    assert threads_for(4000 * 3000, 16) == 2
    assert threads_for(64_000_000, 16) == 1


def test_what_exists_is_not_made_again(work):
    plan, store, image = work
    for key in plan.receptions:
        store.write(key, image)
    with receiving(plan, store, None, silent):
        pass
    assert torch.equal(store.read("00"), image)


def test_an_interruption_stops_what_has_not_begun(work, monkeypatch):
    plan, store, _ = work
    begun, stopped = threading.Semaphore(0), threading.Event()
    write = FolderStore.write_levels

    def slowly(self, key, levels):
        begun.release()
        stopped.wait(60)
        write(self, key, levels)

    class Pool(ThreadPoolExecutor):
        """Lets work that has begun go on once the rest was told to stop."""

        def shutdown(self, wait=True, *, cancel_futures=False):
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            stopped.set()
            super().shutdown(wait=wait)

    monkeypatch.setattr(FolderStore, "write_levels", slowly)
    monkeypatch.setattr("brittle.trial.stages.ThreadPoolExecutor", Pool)
    monkeypatch.setattr("brittle.trial.stages.cores", lambda: 2)

    def interrupt():
        for _ in range(2):
            assert begun.acquire(timeout=60)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), receiving(plan, store, None, silent):
        interrupt()
    assert sum(store.has(key) for key in plan.receptions) == 2


def test_a_failure_is_raised_where_its_file_is_needed(work, monkeypatch):
    plan, store, _ = work

    def full(self, key, levels):
        raise OSError("no space left")

    monkeypatch.setattr(FolderStore, "write_levels", full)
    with pytest.raises(OSError, match="no space"), receiving(plan, store, None, silent) as wait_for:
        wait_for("03")
    with pytest.raises(OSError, match="no space"), receiving(plan, store, None, silent):
        pass

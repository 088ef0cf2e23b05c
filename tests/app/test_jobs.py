import os
import time
from functools import partial
from pathlib import Path

import pytest

from brittle.app.jobs import ENDED, KEPT, Jobs
from brittle.app.running import BUG, MEMORY
from brittle.errors import UserError


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    root = tmp_path_factory.mktemp("server")
    found = Jobs(root / "made", private=root)
    yield found
    found.close()


def until(true, seconds=200):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def ended(jobs, work, *arguments, **how):
    """A job that has ended, whatever its end."""
    job = jobs.start(partial(work, *arguments), **how)
    until(lambda: job.state not in ("waiting", "running"))
    return job


# What runs in the other process.


def talk(running):
    running.say("Three edits.")
    with running.progress("photos", 2) as outer, running.progress("steps", 10) as inner:
        inner(4)
        outer(1)
        running.show(one=1)
        time.sleep(0.5)
    running.show(two=[2])


def count(running):
    with running.progress("steps", 10_000) as advance:
        for step in range(10_000):
            running.show(step=step)
            time.sleep(0.05)
            advance(1)


def never_heed(running):
    running.show(process=os.getpid())
    time.sleep(600)


def fail(error, running):
    raise error


def name_folders(running):
    running.say(f"  written to {running.folder / 'protected' / 'cat.png'}")
    tray = running.folder.parents[1] / "trays" / ("a" * 32) / "photos"
    raise UserError(f"{tray / 'cat.png'} is damaged.")


def touch(path, running):
    Path(path).touch()
    (running.folder / "x").touch()


def test_what_work_says_and_finds_is_told(jobs):
    job = jobs.start(talk)
    until(lambda: job.found)
    told = [(one["name"], one["done"], one["total"]) for one in job.told()["stages"]]
    assert told == [("photos", 1, 2), ("steps", 4, 10)]
    until(lambda: job.state == "done")
    assert job.told() == {
        "state": "done",
        "stages": [],
        "notes": ["Three edits."],
        "found": {"one": 1, "two": [2]},
        "problem": "",
    }


def test_cancelled_work_ends_at_its_next_step_and_its_process_goes_on(jobs):
    job = jobs.start(count)
    until(lambda: job.found.get("step", 0) >= 2)
    process = jobs._worker._process.pid
    job.stop()
    until(lambda: job.state == "stopped")
    assert job.found["step"] < 9_000
    assert jobs._worker._process.pid == process


def test_work_that_comes_to_no_step_is_ended_with_its_process(jobs):
    job = jobs.start(never_heed)
    until(lambda: job.found)
    job.stop()
    until(lambda: job.state == "stopped", seconds=60)
    assert jobs._worker._process.pid != job.found["process"]
    assert ended(jobs, talk).state == "done"


def test_what_the_system_ends_is_said(jobs):
    job = jobs.start(never_heed)
    until(lambda: job.found)
    jobs._worker._process.kill()
    until(lambda: job.state == "failed")
    assert job.problem == ENDED
    assert ended(jobs, talk).state == "done"


def test_work_that_was_cancelled_before_its_turn_never_begins(jobs, tmp_path):
    first = jobs.start(count)
    second = jobs.start(partial(touch, tmp_path / "begun"))
    second.stop()
    first.stop()
    until(lambda: second.state == "stopped")
    assert not (tmp_path / "begun").exists()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UserError("cat.png is damaged."), "cat.png is damaged."),
        (OSError(28, "No space left on device", "cat.png"), "cat.png: No space left on device."),
        (MemoryError(), MEMORY),
        (ZeroDivisionError("oops"), BUG),
    ],
)
def test_what_goes_wrong_is_one_sentence(jobs, error, said):
    job = ended(jobs, fail, error)
    assert (job.state, job.problem) == ("failed", said)


def test_folders_that_only_the_server_knows_are_not_named(jobs):
    job = ended(jobs, name_folders)
    assert job.notes == ["  written to protected/cat.png"]
    assert job.problem == "photos/cat.png is damaged."


def test_what_work_made_stays(jobs, tmp_path):
    made = [ended(jobs, touch, tmp_path / "x") for _ in range(KEPT + 3)]
    assert all((job.folder / "x").exists() for job in made)
    assert jobs.named(made[0].name) is made[0]


def test_the_oldest_passing_work_is_forgotten_with_its_folder(jobs, tmp_path):
    made = [ended(jobs, touch, tmp_path / "x", passing=True) for _ in range(KEPT + 3)]
    assert [job.folder.exists() for job in made] == [False, False, *[True] * (KEPT + 1)]
    assert jobs.named(made[-1].name) is made[-1]
    with pytest.raises(UserError, match="no longer known"):
        jobs.named(made[0].name)


@pytest.mark.parametrize("passing", [False, True])
def test_work_that_has_not_ended_is_never_forgotten(jobs, tmp_path, passing):
    running = jobs.start(count, passing=passing)
    until(lambda: running.found)
    waiting = [jobs.start(partial(touch, tmp_path / "x"), passing=True) for _ in range(KEPT + 3)]
    assert running.state == "running"
    assert not any(job.cancelled for job in (running, *waiting))
    assert all(jobs.named(job.name) is job for job in (running, *waiting))
    running.stop()
    until(lambda: all(job.ended for job in waiting))
    assert {job.state for job in waiting} == {"done"}

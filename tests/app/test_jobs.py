from threading import Event

import pytest

from brittle.app.jobs import BUG, KEPT, MEMORY, Jobs
from brittle.errors import UserError


@pytest.fixture
def jobs(tmp_path):
    found = Jobs(tmp_path / "made", private=tmp_path)
    yield found
    found.close()


def ended(jobs, work):
    """A job that has ended, whatever its end."""
    over = Event()

    def until(job):
        try:
            work(job)
        finally:
            over.set()

    job = jobs.start(until)
    assert over.wait(60)
    jobs._pool.submit(lambda: None).result()  # the job's last lines have run
    return job


def test_what_work_says_and_finds_is_told(jobs):
    def work(job):
        job.say("Three edits.")
        with job.progress("photos", 2) as outer, job.progress("steps", 10) as inner:
            inner(4)
            outer(1)
            job.found["stages"] = job.told()["stages"]

    told = ended(jobs, work).told()
    assert told["state"] == "done"
    assert told["notes"] == ["Three edits."]
    assert [(one["name"], one["done"], one["total"]) for one in told["found"]["stages"]] == [
        ("photos", 1, 2),
        ("steps", 4, 10),
    ]
    assert told["stages"] == []


def test_cancelled_work_ends_at_its_next_step(jobs):
    steps = []

    def work(job):
        with job.progress("steps", 100) as advance:
            for step in range(100):
                steps.append(step)
                if step == 3:
                    job.stop()
                advance(1)

    assert ended(jobs, work).state == "stopped"
    assert steps == [0, 1, 2, 3]


def test_work_that_was_cancelled_before_its_turn_never_begins(jobs):
    first, begun = Event(), []
    jobs.start(lambda job: first.wait(60))
    second = jobs.start(lambda job: begun.append(1))
    second.stop()
    first.set()
    ended(jobs, lambda job: None)
    assert second.state == "stopped"
    assert not begun


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UserError("cat.png is damaged."), "cat.png is damaged."),
        (OSError(28, "No space left on device", "cat.png"), "cat.png: No space left on device."),
        (MemoryError(), MEMORY),
        (ZeroDivisionError("oops"), BUG),
    ],
)
def test_what_goes_wrong_is_one_sentence(jobs, error, said, capsys):
    def work(job):
        raise error

    job = ended(jobs, work)
    assert (job.state, job.problem) == ("failed", said)
    assert ("ZeroDivisionError: oops" in capsys.readouterr().err) is (said == BUG)


def test_folders_that_only_the_server_knows_are_not_named(jobs, tmp_path):
    def work(job):
        job.say(f"  written to {tmp_path / 'made' / job.name / 'protected' / 'cat.png'}")
        raise UserError(f"{tmp_path / 'trays' / ('a' * 32) / 'photos' / 'cat.png'} is damaged.")

    told = ended(jobs, work).told()
    assert told["notes"] == ["  written to protected/cat.png"]
    assert told["problem"] == "photos/cat.png is damaged."


def test_the_oldest_work_is_forgotten_with_its_files(jobs):
    made = [ended(jobs, lambda job: (job.folder / "x").touch()) for _ in range(KEPT + 2)]
    assert [job.folder.exists() for job in made] == [False, False, *[True] * KEPT]
    assert jobs.named(made[-1].name) is made[-1]
    with pytest.raises(UserError, match="no longer known"):
        jobs.named(made[0].name)

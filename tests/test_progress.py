"""Progress: how far all stages are, and what a log says of it."""

import pytest

from brittle.progress import Guessed, Log, bars, on_stderr, overall


class Clock:
    """A time that passes where a test says so."""

    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_log_has_a_line_a_minute_and_none_of_what_takes_less(clock):
    said = []
    log = Log(said.append, clock=clock)
    with overall(log.stage, {"edits": 30, "scores": 10}) as progress:
        with progress("edits", 120) as advance:
            for _ in range(120):
                clock.now += 1.5
                advance(1)
        with progress("scores", 40) as advance:
            for _ in range(40):
                clock.now += 1
                advance(1)
    assert said == [
        "all 25 %, edits 39/120; about 3 minutes left",
        "all 50 %, edits 79/120; about 2 minutes left",
        "all 75 %, edits 119/120; about 60 seconds left",
    ]


def test_stages_beside_each_other_and_those_nobody_foresaw_are_shown(clock):
    said = []
    progress = Log(said.append, seconds=10, clock=clock).stage
    with overall(progress, {"transforms": 1, "edits": 3}) as progress:
        with progress("transforms", 4) as one, progress("edits", 6) as other:
            one(4)
            clock.now += 10
            other(2)
        with progress("class images", 2) as advance:
            clock.now += 10
            advance(1)
    assert said == [
        "all 50 %, transforms 4/4, edits 0/6; about 10 seconds left",
        "all 50 %, class images 0/2; about 20 seconds left",
    ]


def test_a_stage_that_was_foreseen_badly_spoils_the_estimate_for_ten_minutes_only(clock):
    said = []
    progress = Log(said.append, clock=clock).stage
    with progress("all", 100) as advance:
        clock.now += 1800  # a tenth of the whole, it was thought
        advance(10)
        for _ in range(20):
            clock.now += 60
            advance(1)
    assert said[0].endswith("about 4.5 hours left")
    assert said[9].endswith("19 %; about 2.8 hours left")
    assert said[10].endswith("20 %; about 80 minutes left")
    assert said[-1].endswith("about 70 minutes left")


def test_what_takes_longer_than_the_pace_looks_back_goes_by_all_of_it(clock):
    said = []
    progress = Log(said.append, clock=clock).stage
    with progress("edits", 4) as advance:
        clock.now += 2400
        advance(1)
        for _ in range(12):
            clock.now += 100
            advance(0)
    assert said[0].endswith("about 2.0 hours left")
    assert said[-1].endswith("about 3.0 hours left")


@pytest.mark.parametrize("steps", [(), (1, 1), (1, 1, 1), (2, 2), (1,) * 9])
def test_a_part_whose_length_is_a_guess_ends_where_it_was_said_to(steps):
    seen = []
    part = Guessed(seen.append, 3)
    for step in steps:
        part(step)
        assert sum(seen) == min(3, sum(steps[: len(seen)]))
    part.finish()
    assert sum(seen) == 3


def test_nothing_to_do_shows_nothing():
    with overall(pytest.fail, {}) as progress:
        assert progress is pytest.fail


def test_bars_are_for_terminals(monkeypatch, capsys):
    said = []
    with on_stderr(said.append) as progress, progress("edits", 2) as advance:
        advance(1)
    assert isinstance(progress.__self__, Log)
    with bars() as progress, progress("edits", 2) as advance:
        advance(1)
        print("an answer")
    shown = capsys.readouterr()
    assert shown.out == "an answer\n"
    assert said == []

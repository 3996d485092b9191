"""What a training run says of itself, with a clock of our own."""

import io
import re
import time

import pytest

from resdet import progress
from resdet.progress import TrainingProgress, follow, waiting


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when told to."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def train(said, clock, steps, seconds=1.0):
    for step in steps:
        clock.now += seconds
        said(step, {"loss": 2.0})


def test_off_a_terminal_a_line_comes_every_twenty_seconds(clock, capsys):
    said = TrainingProgress(100, 32)
    train(said, clock, range(1, 46))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "step 21/100: loss 2.000, 32 images/s, 79 s left",
        "step 42/100: loss 2.000, 32 images/s, 58 s left",
    ]


def test_a_rate_below_ten_images_a_second_has_decimals(clock, capsys):
    said = TrainingProgress(100, 2)
    train(said, clock, range(1, 3), seconds=16.0)
    assert capsys.readouterr().err == "step 2/100: loss 2.000, 0.12 images/s, 1568 s left\n"


def test_a_resumed_runs_rate_counts_its_own_steps_only(clock, capsys):
    said = TrainingProgress(1000, 32)
    train(said, clock, range(901, 925))
    assert capsys.readouterr().err == "step 921/1000: loss 2.000, 32 images/s, 79 s left\n"


def test_the_rate_is_without_evaluations_and_the_time_left_with_them(clock, capsys):
    said = TrainingProgress(40, 32)
    train(said, clock, range(1, 11))
    clock.now += 10  # an evaluation, as long as the steps before it
    said(10, {"val/error": 12.345, "val/name": "x"})
    assert capsys.readouterr().err == "step 10/40: val/error 12.35\n"
    train(said, clock, range(11, 12))
    assert capsys.readouterr().err == "step 11/40: loss 2.000, 32 images/s, 55 s left\n"  # 21 s for 11 steps, 29 more


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_there_is_a_bar_that_begins_where_the_run_does(clock, monkeypatch):
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    said = TrainingProgress(100, 32)
    train(said, clock, [51, 52])
    said(52, {"val/error": 1.0})
    said.close()
    text = screen.getvalue()
    assert "52/100" in text
    assert "loss 2.000, 32 images/s" in text
    assert "step 52/100: val/error 1.00" in text


def test_following_gives_every_item_and_a_line_now_and_then(clock, capsys):
    def items():
        for i in range(5):
            clock.now += 15
            yield i

    assert list(follow(items(), 5, "eval")) == [0, 1, 2, 3, 4]
    assert re.findall(r"eval: (\d)/5, (\d+) s left", capsys.readouterr().err) == [("2", "45"), ("4", "15")]


def test_what_cannot_be_counted_says_now_and_then_that_it_goes_on_and_stops_with_it(monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.05)
    with waiting("reading voc:ROOT:train"):
        time.sleep(0.5)
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 9
    assert all(re.fullmatch(r"reading voc:ROOT:train: [01] s so far", line) for line in lines)
    with waiting("reading", told=False), pytest.raises(ValueError, match="wrong"), waiting("reading"):
        raise ValueError("wrong")
    time.sleep(0.2)
    assert not capsys.readouterr().err  # neither by a process that is not to tell nor after an error

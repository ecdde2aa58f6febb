"""Bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io

import pytest

from edgeroberta import progress
from edgeroberta.progress import Meter, PlainProgress, Progress, TerminalProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still until a test moves it."""
    now = [100.0]
    monkeypatch.setattr("edgeroberta.progress.time.monotonic", lambda: now[0])
    return now


def test_plain_progress_writes_a_line_at_the_start_every_ten_seconds_and_at_the_end(
    clock: list[float],
) -> None:
    stream = io.StringIO()
    with PlainProgress(stream).bar("distill", 100, "steps") as advance:
        for _ in range(100):
            clock[0] += 0.25
            advance(note="loss 0.31")
    assert stream.getvalue().splitlines() == [
        "distill: 100 steps",
        "distill: 40/100 steps, 15 s left · loss 0.31",
        "distill: 80/100 steps, 5 s left · loss 0.31",
        "distill: done, 100/100 steps in 25 s · loss 0.31",
    ]


def test_plain_progress_says_when_work_was_stopped(clock: list[float]) -> None:
    stream = io.StringIO()

    def fail() -> None:
        with PlainProgress(stream).bar("distill", 10, "steps") as advance:
            advance(3)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert stream.getvalue().splitlines()[-1] == "distill: stopped, 3/10 steps in 0 s"


def test_an_unknown_total_shows_a_count_and_no_time_left(clock: list[float]) -> None:
    stream = io.StringIO()
    with PlainProgress(stream).bar("read", 0, "rows") as advance:
        clock[0] += 20
        advance(1234)
    assert stream.getvalue().splitlines() == [
        "read: rows",
        "read: 1,234 rows",
        "read: done, 1,234 rows in 20 s",
    ]


def test_the_time_left_leaves_out_what_an_earlier_run_had_done(clock: list[float]) -> None:
    meter = Meter("distill", 100, "steps", done=80)
    assert meter.left is None, "nothing is known of this run's rate yet"
    clock[0] += 10
    meter.add(10, "")
    assert meter.left == 10
    fresh = Meter("distill", 100, "steps")
    fresh.add(80, "")  # at once, and yet by this run
    clock[0] += 10
    assert fresh.left == 2.5


def test_a_terminal_gets_a_bar_that_redraws_itself(clock: list[float]) -> None:
    stream = Terminal()
    with TerminalProgress(stream, colour=False, columns=lambda: 80).bar("distill", 4, "steps") as advance:
        clock[0] += 1
        advance(note="loss 0.3")
    shown = stream.getvalue().split("\r\x1b[K")
    assert shown[2] == "distill ━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  25% 1/4 steps 3 s left · loss 0.3"
    assert shown[-1] == "distill: done, 1/4 steps in 1 s · loss 0.3\n"


def test_a_bar_never_wraps_in_a_narrow_terminal(clock: list[float]) -> None:
    stream = Terminal()
    with TerminalProgress(stream, colour=False, columns=lambda: 50).bar("distill", 4, "steps") as advance:
        clock[0] += 1
        advance(note="loss " + "0" * 100)
        drawn = stream.getvalue().split("\r\x1b[K")[-1]
    assert len(drawn) == 49


def test_a_line_is_written_above_the_bar(clock: list[float]) -> None:
    stream = Terminal()
    bars = TerminalProgress(stream, colour=False, columns=lambda: 80)
    with bars.bar("distill", 4, "steps"):
        bars.line("checkpoint written")
        assert "\r\x1b[Kcheckpoint written\n\r\x1b[Kdistill ╌" in stream.getvalue()


def test_a_terminal_is_drawn_to_at_most_ten_times_a_second(clock: list[float]) -> None:
    stream = Terminal()
    with TerminalProgress(stream, colour=False, columns=lambda: 80).bar("distill", 1000, "steps") as advance:
        for _ in range(1000):
            clock[0] += 0.001
            advance()
        drawn = stream.getvalue().count("distill ")
    assert 9 <= drawn <= 12


def test_a_terminal_gets_bars_and_anything_else_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    bars = progress.for_stream(Terminal())
    assert isinstance(bars, TerminalProgress)
    assert bars.colour
    assert isinstance(progress.for_stream(io.StringIO()), PlainProgress)


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress.for_stream(Terminal()), PlainProgress)


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    with progress.for_stream(stream).bar("distill", 4, "steps") as advance:
        clock[0] += 1
        advance()
    assert "\x1b[3" not in stream.getvalue()
    assert "\x1b[2m" not in stream.getvalue()


def test_the_base_counts_and_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    silent = Progress()
    silent.line("hello")
    with silent.bar("distill", 4, "steps") as advance:
        advance(2, "note")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "–"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (125, "2 min 05 s"),
        (3599.6, "1 h 00 min"),
        (4320, "1 h 12 min"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float | None, said: str) -> None:
    assert progress.duration(seconds) == said

"""Bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
import re
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

from edgeroberta import progress
from edgeroberta.progress import BarProgress, Meter, PlainProgress, Progress, for_stream


class Terminal(io.StringIO):
    """Keeps what is written, and shows what a person would see of it."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        rows, y, x = [""], 0, 0
        for number, code, sign in re.findall(r"\x1b\[([?\d;]*)([A-Za-z])|([^\x1b])", self.getvalue()):
            if sign == "\n":
                y, x = y + 1, 0
                rows += [""] * (y == len(rows))
            elif sign == "\r":
                x = 0
            elif sign:
                rows[y] = rows[y][:x].ljust(x) + sign + rows[y][x + 1 :]
                x += 1
            elif code == "A":
                y -= int(number)
            elif code == "K":
                assert number == "2"
                rows[y] = ""
            else:
                assert code in "mhl", "colours, and the cursor's visibility"
        return [row.rstrip() for row in "\n".join(rows).rstrip().splitlines()]


@pytest.fixture
def terminal(monkeypatch) -> Terminal:
    for name, value in {"TERM": "xterm", "COLUMNS": "80", "NO_COLOR": ""}.items():
        monkeypatch.setenv(name, value)
    return Terminal()


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """A clock that stands still until a test moves it."""
    now = [100.0]
    monkeypatch.setattr("edgeroberta.progress.time.monotonic", lambda: now[0])
    return now


def test_plain_progress_writes_a_line_at_the_start_every_ten_seconds_and_at_the_end(clock):
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


def test_plain_progress_says_what_an_earlier_run_has_done(clock):
    stream = io.StringIO()
    with PlainProgress(stream).bar("distill", 4000, "steps", done=1200):
        pass
    assert stream.getvalue().splitlines()[0] == "distill: 4,000 steps, 1,200 of them done by an earlier run"


def test_plain_progress_says_when_work_was_stopped(clock):
    stream = io.StringIO()

    def fail() -> None:
        with PlainProgress(stream).bar("distill", 10, "steps") as advance:
            advance(3)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert stream.getvalue().splitlines()[-1] == "distill: stopped, 3/10 steps in 0 s"


def test_an_unknown_total_shows_a_count_and_no_time_left(clock):
    stream = io.StringIO()
    with PlainProgress(stream).bar("read", 0, "rows") as advance:
        clock[0] += 20
        advance(1234)
    assert stream.getvalue().splitlines() == [
        "read: rows",
        "read: 1,234 rows",
        "read: done, 1,234 rows in 20 s",
    ]


def test_the_time_left_leaves_out_what_an_earlier_run_had_done(clock):
    meter = Meter("distill", 100, "steps", done=80)
    assert meter.left is None, "nothing is known of this run's rate yet"
    clock[0] += 10
    meter.add(10, "")
    assert meter.left == 10
    fresh = Meter("distill", 100, "steps")
    fresh.add(80, "")  # at once, and yet by this run
    clock[0] += 10
    assert fresh.left == 2.5


def test_a_bar_on_a_terminal_is_gone_when_the_work_is_done(terminal, clock):
    with for_stream(terminal).bar("distill", 4, "steps") as advance:
        clock[0] += 1
        advance(note="loss 0.3")
        (drawn,) = terminal.lines()
        assert re.fullmatch("distill [━╸╺]{24} 1/4 steps, 3 s left · loss 0.3", drawn)
    assert terminal.lines() == ["distill: done, 1/4 steps in 1 s · loss 0.3"]


def test_bars_never_wrap_in_a_narrow_terminal(terminal, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    bars = for_stream(terminal)
    with bars.bar("distill", 4, "steps"), bars.bar("inner", 0, "rows"), bars.bar("0" * 100, 0, "rows"):
        assert [len(line) <= 50 for line in terminal.lines()] == [True] * 3
    assert [line.partition(":")[0] for line in terminal.lines()] == ["0" * 100, "inner", "distill"]


def test_a_line_is_written_above_the_bars_and_nothing_in_it_is_markup(terminal):
    bars = for_stream(terminal)
    with bars.bar("[red]distill :smile: {x}", 4, "steps"):
        bars.line("[bold]checkpoint[/bold] \x1b[2J " + "w" * 100)
        above, bar = terminal.lines()
    assert above == "[bold]checkpoint[/bold] \\x1b[2J " + "w" * 100
    assert bar.startswith("[red]distill :smile: {x} ━")


def test_a_terminal_is_drawn_to_at_most_ten_times_a_second(terminal, clock):
    with for_stream(terminal).bar("distill", 1000, "steps") as advance:
        for _ in range(1000):
            clock[0] += 0.001
            advance()
    assert 9 <= terminal.getvalue().count("distill ") <= 14


@pytest.mark.parametrize("no_color", ["", "1"])
def test_no_color_is_honoured(terminal, monkeypatch, no_color):
    monkeypatch.setenv("NO_COLOR", no_color)
    with for_stream(terminal).bar("distill", 4, "steps") as advance:
        advance()
    assert bool(re.search(r"\x1b\[[\d;]*3\d", terminal.getvalue())) is not bool(no_color)


def test_no_terminal_and_a_dumb_one_get_lines(terminal, monkeypatch):
    assert isinstance(for_stream(terminal), BarProgress)
    assert isinstance(for_stream(io.StringIO()), PlainProgress)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(for_stream(terminal), PlainProgress)


@pytest.mark.parametrize("widgets", [True, False])
def test_a_notebook_gets_bars_where_it_can_draw_them(monkeypatch, widgets):
    for name in ("ipykernel", "ipywidgets"):
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module if widgets or name == "ipykernel" else None)
    assert isinstance(for_stream(io.StringIO()), BarProgress if widgets else PlainProgress)


def test_without_rich_a_terminal_gets_lines(terminal, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert isinstance(for_stream(terminal), PlainProgress)


def test_the_base_counts_and_says_nothing(capfd):
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
def test_durations_read_as_people_say_them(seconds, said):
    assert progress.duration(seconds) == said

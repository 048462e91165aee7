import io
import sys

import pytest

from lowdose.cli import reporting as module
from lowdose.cli.reporting import describe_progress, reporting, took
from lowdose.progress import Progress


def at(done, *, total=8, seconds=2.0):
    return Progress(
        stage="denoise",
        done=done,
        total=total,
        pixels=done * 1_000_000,
        seconds=seconds if done else 0.0,
    )


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_tells_tiles_rate_and_time_left():
    assert describe_progress(at(4)) == "4 of 8 tiles, 2 Mpx/s, 2 s left"


def test_before_the_first_tile_nothing_is_guessed():
    assert describe_progress(at(0)) == "0 of 8 tiles"


def test_at_the_end_no_time_is_left():
    assert describe_progress(at(8)) == "8 of 8 tiles, 4 Mpx/s"


def test_a_terminal_gets_a_bar_that_goes_away(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with reporting("[odd] {name}.tif") as report:
        report(at(0))
        report(at(4))
    text = terminal.getvalue()
    assert "[odd] {name}.tif" in text
    assert "4 of 8 tiles, 2 Mpx/s, 2 s left" in text
    assert "50%" in text


def test_a_log_file_gets_a_line_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(module, "_LINE_EVERY", 0.0)
    with reporting("a.tif") as report:
        report(at(2))
    assert capsys.readouterr().err == (
        "lowdose: a.tif: 25%, 2 of 8 tiles, 1 Mpx/s, 6 s left\n"
    )


def test_a_short_job_writes_nothing_to_a_log_file(capsys):
    with reporting("a.tif") as report:
        for done in range(9):
            report(at(done))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_quiet_shows_nothing(monkeypatch, stream):
    stderr = stream()
    monkeypatch.setattr(sys, "stderr", stderr)
    with reporting("a.tif", quiet=True) as report:
        report(at(4))
    assert stderr.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (3.21, "3.2 s"), (75, "1 min 15 s")]
)
def test_short_jobs_are_told_to_a_tenth_of_a_second(seconds, text):
    assert took(seconds) == text

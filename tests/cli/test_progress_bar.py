"""Progress: a bar in the foreground of a terminal, otherwise lines in the log."""

from __future__ import annotations

import re
import subprocess
import sys
from fractions import Fraction

import pytest

from owtmix.cli.progress_shown import Speed
from tests.cli.terminal import run_in_terminal

PROGRAM = """
import logging, sys, time
from fractions import Fraction
from owtmix.cli import progress_shown
from owtmix.cli.run_log import RunLog

RunLog(logging.INFO)
progress_shown._LINE_S = 0.2
with progress_shown.show_progress(quiet="-q" in sys.argv) as progress:
    progress.stage("probing", None)
    progress.stage("composing", Fraction(20))
    for frame in range(1, 16):
        progress.advance(Fraction(frame))
        if frame == 8:
            logging.getLogger("owtmix").warning("somebody is late")
        time.sleep(0.05)
"""
COMMAND = [sys.executable, "-c", PROGRAM]
BAR = re.compile(r"composing [^\r]*━[^\r]* +(\d+) %  (\d+\.\d)x  (\d+:\d\d) left")


def test_a_terminal_shows_percent_speed_and_time_left() -> None:
    status, drawn = run_in_terminal(COMMAND)
    assert status == 0
    percents = [int(found[1]) for found in BAR.finditer(drawn)]
    assert percents == sorted(percents)
    assert len(set(percents)) > 3
    assert "somebody is late" in drawn


def test_the_cursor_is_not_hidden() -> None:
    _, drawn = run_in_terminal(COMMAND)
    assert "\x1b[?25l" not in drawn


def test_in_the_background_of_a_terminal_there_are_lines_and_no_bar() -> None:
    status, drawn = run_in_terminal(COMMAND, background=True)
    assert status == 0
    assert "━" not in drawn
    assert re.search(r"composing: \d+ %", drawn)


def test_elsewhere_a_line_comes_every_few_seconds() -> None:
    result = subprocess.run(COMMAND, capture_output=True, text=True, check=True)
    lines = re.findall(r"composing: (\d+) %  \d+\.\dx  \d+:\d\d left", result.stderr)
    assert 1 < len(lines) < 15
    assert "\x1b" not in result.stderr
    assert result.stdout == ""


def test_quiet_shows_warnings_only() -> None:
    result = subprocess.run([*COMMAND, "-q"], capture_output=True, text=True, check=True)
    assert "composing" not in result.stderr


@pytest.mark.parametrize(
    ("done_s", "now_s", "text"),
    [
        (Fraction(0), 100.0, "  0 %"),
        (Fraction(30), 110.0, " 25 %  3.0x  0:30 left"),
        (Fraction(60), 100.0 + 7200, " 50 %  0.0x  2:00:00 left"),
        (Fraction(120), 140.0, "100 %  3.0x  0:00 left"),
    ],
)
def test_speed(done_s: Fraction, now_s: float, text: str) -> None:
    assert Speed(Fraction(120), since_s=100.0).describe(done_s, now_s) == text


def test_speed_of_bytes() -> None:
    speed = Speed(Fraction(30_000_000), since_s=100.0, unit="bytes")
    assert speed.describe(Fraction(10_000_000), 104.0) == " 33 %  2.5 MB/s  0:08 left"

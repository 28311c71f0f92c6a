"""A batch on a terminal: the live view at any width, and Ctrl-C."""

from __future__ import annotations

import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from fcntl import ioctl

import pytest
from rich.console import Console

from owtmix.batch.attempt import JobProgress
from owtmix.batch.live_view import draw
from owtmix.batch.night import Status
from tests.batch.stand_in import Site


class Terminal:
    """A batch in the foreground of a new terminal."""

    def __init__(self, site: Site, columns: int, *arguments: object) -> None:
        self._ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
        environment = os.environ | {"TERM": "xterm-256color", "TMPDIR": str(site.path)}
        environment = {name: value for name, value in environment.items() if name not in {"COLUMNS", "LINES"}}
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *site.command(*arguments)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
        )
        os.close(theirs)
        self.drawn = ""

    def read_until(self, is_there: Callable[[str], object], timeout_s: float = 20) -> str:
        """Read until what was drawn is as it should be, or the batch has ended."""
        until_s = time.monotonic() + timeout_s
        while not is_there(self.drawn):
            if not select.select([self._ours], [], [], max(0, until_s - time.monotonic()))[0]:
                raise TimeoutError(self.drawn)
            try:
                self.drawn += os.read(self._ours, 65536).decode(errors="replace")
            except OSError:  # the other end is closed
                break
        return self.drawn

    def read_all(self) -> str:
        """Read until the batch has ended."""
        text = self.read_until(lambda _: False)
        self.process.wait(20)
        self.close()
        return text

    def close(self) -> None:
        """Let the terminal go."""
        os.close(self._ours)

    def press_ctrl_c(self) -> None:
        os.write(self._ours, b"\x03")


def lines_of(drawn: str) -> list[str]:
    """The lines without control sequences."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn).replace("\r\n", "\n").replace("\r", "\n")
    return [line.rstrip() for line in text.split("\n")]


@pytest.mark.parametrize("columns", [40, 120])
def test_the_live_view_shows_what_runs(site: Site, columns: int) -> None:
    for name in ("a", "a-room-with-a-very-long-name-that-does-not-fit-into-forty-columns"):
        site.job(name, lasts_s=1.5, progress=True)
    site.job("bad", 2)
    terminal = Terminal(site, columns, "--jobs", 3)
    terminal.read_until(lambda drawn: re.search(r"a .* [1-9]\d? %", drawn) and "1 failed" in drawn)
    drawn = terminal.read_all()
    lines = lines_of(drawn)
    end = lines.index("done      2")
    assert max(map(len, lines[:end])) <= columns
    assert ("a-room-with-a-very-long-name-that-does-not-fit-into" in drawn) == (columns == 120)
    assert "\x1b[?25l" not in drawn
    assert terminal.process.returncode == 4
    assert lines[end + 2] == "          bad: rejected, status 2: it ended with 2"


def test_ctrl_c_once_lets_jobs_end(site: Site) -> None:
    """They do not get it themselves."""
    for name in "abc":
        site.job(name, lasts_s=1.5, progress=True)
    terminal = Terminal(site, 80, "--jobs", 2, "--grace", 60)
    terminal.read_until(lambda drawn: re.search(r"[1-9]\d? %", drawn))
    terminal.press_ctrl_c()
    drawn = terminal.read_all()
    assert "nothing more begins" in drawn
    assert terminal.process.returncode == 130
    assert [*site.states().values()] == ["done", "done"]
    assert "left      1: run the same command to go on" in lines_of(drawn)


def test_ctrl_c_twice_stops_them(site: Site) -> None:
    for name in "ab":
        site.job(name, lasts_s=60, progress=True)
    terminal = Terminal(site, 80, "--jobs", 2, "--grace", 60)
    terminal.read_until(lambda drawn: re.search(r"\d %", drawn))
    terminal.press_ctrl_c()
    terminal.read_until(lambda drawn: "nothing more begins" in drawn)
    time.sleep(0.6)
    terminal.press_ctrl_c()
    begun_s = time.monotonic()
    terminal.read_all()
    assert time.monotonic() - begun_s < 5
    assert terminal.process.returncode == 130
    assert site.states() == {"a": "drained", "b": "drained"}


def test_a_terminal_that_goes_away_drains_the_batch(site: Site) -> None:
    for name in "abc":
        site.job(name, lasts_s=1.5, progress=True)
    terminal = Terminal(site, 80, "--jobs", 2, "--grace", 60)
    terminal.read_until(lambda drawn: re.search(r"[1-9]\d? %", drawn))
    terminal.close()
    assert terminal.process.wait(20) == 130
    assert [*site.states().values()] == ["done", "done"]


@pytest.mark.parametrize("width", [10, 20, 40, 59, 60, 80, 90, 200])
@pytest.mark.parametrize("count", [0, 1, 64])
def test_the_view_fits_into_any_terminal(width: int, count: int) -> None:
    names = [f"room-{number} \x1b[2J 会议室 [bold]x[/bold]" for number in range(count)]
    running = {name: JobProgress("composing", 42.4, 3700) for name in names}
    status = Status(12_345, 678, 99_999, running, 0.5, 10**9, is_draining=True)
    console = Console(width=width, height=24, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(draw(status, width, 24))
    lines = capture.get().splitlines()
    assert len(lines) <= 23
    assert "\x1b" not in "".join(lines)
    if width >= 40:
        assert lines[0].startswith("12,345 done, 678 failed")
        assert all("42 %" in line and "1:01:40" in line for line in lines[1 : 1 + min(count, 20)])
        assert (f"and {count - 20} more" in "".join(lines)) == (count > 20)

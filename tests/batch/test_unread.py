"""Messages that nobody reads hold up nothing."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import pytest

from owtmix.batch.outlet import Outlet
from tests.batch.stand_in import Site
from tests.batch.test_terminal import Terminal

PIPE_BYTES: Final = 4096


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A small pipe."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def read_all(reader: int) -> bytes:
    """What is in a pipe, and what comes soon."""
    os.set_blocking(reader, False)
    data, until_s = b"", time.monotonic() + 1
    while time.monotonic() < until_s:
        try:
            data += os.read(reader, 65536)
        except BlockingIOError:
            time.sleep(0.01)
    return data


def test_what_is_read_comes_whole_and_in_order(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1])
    for number in range(50):
        outlet.write(b"%d\n" % number)
    assert outlet.drain(5)
    assert read_all(pipe[0]) == b"".join(b"%d\n" % number for number in range(50))


def test_what_nobody_reads_is_left_out_and_counted(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1], most_bytes=3 * PIPE_BYTES)
    for number in range(1000):
        outlet.write(b"%0999d\n" % number)
    begun_s = time.monotonic()
    assert not outlet.drain(0.2)
    assert time.monotonic() - begun_s < 2
    first = read_all(pipe[0])
    outlet.write(b"last\n")
    second = read_all(pipe[0])
    shown = [int(line) for line in first.split()]
    assert shown == [*range(len(shown))]
    assert second.decode() == (
        f"warning: messages were left out here, as nobody read them: {1000 - len(shown):,}\nlast\n"
    )


def test_a_slow_reader_is_waited_for(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1])
    outlet.write(bytes(5 * PIPE_BYTES))
    reading = subprocess.Popen(
        [sys.executable, "-c", f"import os, time\nwhile os.read(0, {PIPE_BYTES}): time.sleep(0.3)"], stdin=pipe[0]
    )
    assert outlet.drain(1.0)
    reading.kill()
    reading.wait()


def test_a_pipe_that_is_closed_is_no_hindrance() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    outlet = Outlet(writer)
    outlet.write(b"x" * 100)
    assert outlet.drain(5)
    assert outlet.error
    os.close(writer)


def test_standard_error_that_nobody_reads_holds_up_no_job(site: Site) -> None:
    for number in range(40):
        site.job(f"{number}", *((4, 0) if number % 2 else (0,)), says=["error: " + "x" * 900])
    with site.start("-v", "--jobs", 2) as batch:
        assert batch.stderr
        fcntl.fcntl(batch.stderr.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        assert batch.wait(40) == 0
        assert batch.stdout
        assert json.loads(batch.stdout.read())["done"] == 40
    assert set(site.states().values()) == {"done"}


def test_signals_are_heeded_though_nobody_reads(site: Site) -> None:
    for number in range(10):
        site.job(f"{number}", 2)
    site.job("long", lasts_s=60)
    with site.start("-v", "--jobs", 2) as batch:
        assert batch.stderr
        fcntl.fcntl(batch.stderr.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        fill = os.open(f"/proc/self/fd/{batch.stderr.fileno()}", os.O_WRONLY | os.O_NONBLOCK)
        with suppress(BlockingIOError):  # it is full already
            os.write(fill, bytes(PIPE_BYTES))
        until_s = time.monotonic() + 20
        while len(site.entries()) < 10:
            assert time.monotonic() < until_s
            time.sleep(0.05)
        begun_s = time.monotonic()
        batch.terminate()
        time.sleep(0.6)
        batch.terminate()
        assert batch.wait(20) == 130
        assert time.monotonic() - begun_s < 6
        os.close(fill)
    assert site.states()["long"] == "drained"


def test_a_terminal_that_is_stopped_holds_up_no_job(site: Site) -> None:
    """By Ctrl-S, and until Ctrl-Q."""
    for number in range(6):
        site.job(f"{number}", lasts_s=0.3, progress=True)
    terminal = Terminal(site, 80, "--jobs", 1)
    terminal.read_until(lambda drawn: re.search(r"\d %", drawn))
    os.write(terminal._ours, b"\x13")
    until_s = time.monotonic() + 20
    while len(site.entries()) < 6:
        assert time.monotonic() < until_s
        time.sleep(0.05)
    assert terminal.process.wait(15) == 0
    terminal.close()


def test_a_summary_that_nobody_reads_does_not_hold_up_the_end() -> None:
    script = "from owtmix.batch.outlet import print_patiently; print_patiently('x' * 2_000_000, 0.5)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.wait(20) == 1
        assert process.stderr
        assert b"standard output is not complete: nobody read it" in process.stderr.read()

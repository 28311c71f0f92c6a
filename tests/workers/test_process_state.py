"""What the system tells of processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from owtmix.workers import process_state
from owtmix.workers.process_state import (
    available_memory_bytes,
    count_oom_kills,
    held_bytes,
    is_held_up,
    peak_bytes,
)

MIB = 1 << 20
GROWN = "held = bytearray(200 << 20); del held; print('grown', flush=True); input()"


SPREAD: Final = """
import ctypes, sys
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
base = libc.mmap(None, 20 << 30, 1, 0x4022, -1, 0)
libc.madvise(ctypes.c_void_p(base), ctypes.c_size_t(20 << 30), 15)
for number in range(10 << 10):
    ctypes.c_char.from_address(base + (number << 21)).value
print("spread", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """A process that has taken 200 MiB and given them back."""
    command = [sys.executable, "-c", GROWN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "grown\n"
        yield process
        process.kill()


def test_the_peak_of_memory_is_remembered(process: subprocess.Popen[str]) -> None:
    assert peak_bytes(process.pid) > 200 * MIB
    assert 0 < held_bytes(process.pid) < 100 * MIB


def test_page_tables_are_counted() -> None:
    """Reading a byte here and there takes 4 KiB of tables for each, and nothing that is resident."""
    with subprocess.Popen([sys.executable, "-c", SPREAD], stdin=-1, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "spread\n"
        resident = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        assert held_bytes(process.pid) - resident > 30 * MIB
        process.kill()


def test_a_process_that_somebody_has_stopped_is_held_up(process: subprocess.Popen[str]) -> None:
    assert not is_held_up(process.pid)
    process.send_signal(signal.SIGSTOP)
    until_s = time.monotonic() + 20
    while not is_held_up(process.pid):
        assert time.monotonic() < until_s
        time.sleep(0.01)


def test_a_process_that_is_gone_has_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    assert held_bytes(gone.pid) == peak_bytes(gone.pid) == 0
    assert not is_held_up(gone.pid)


def test_memory_is_that_of_the_machine_or_less() -> None:
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    available = available_memory_bytes()
    assert available is not None
    assert 0 < available <= whole
    assert count_oom_kills() >= 0


@pytest.mark.parametrize(("limit", "expected"), [(str(800 * MIB), 300 * MIB), ("max", None)])
def test_files_in_memory_count_as_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, expected: int | None
) -> None:
    """Of a control group's memory: they are given back when it is needed."""
    contents = {"max": limit, "current": str(600 * MIB), "stat": f"anon 7\ninactive_file {100 * MIB}\n"}
    files = [tmp_path / name for name in contents]
    for path, content in zip(files, contents.values(), strict=True):
        path.write_text(content)
    of_machine = available_memory_bytes()
    monkeypatch.setattr(process_state, "_group_files", lambda: [tuple(files)])
    assert available_memory_bytes() == (expected or pytest.approx(of_machine, rel=0.2))

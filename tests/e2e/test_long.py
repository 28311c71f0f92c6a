"""Long rooms: synchronization and memory."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from tests.e2e.bench import COMMAND, TIMEOUT_S, Bench, check_sync
from tests.support.people import Take, person
from tests.support.room import Room

MEMORY_GROWTH: Final = 1.15
"""Allowed growth for a room 60 times as long: a few bytes per second of the plan, and variation of the allocator."""

CHEAP: Final[dict[str, Any]] = {"size": (64, 36), "container": "webm", "rate_hz": 8000, "channels": 1, "audio_kbps": 16}


def test_twenty_minutes_with_a_drifting_clock_end_in_sync(bench: Bench) -> None:
    drifting = person(0, 0, 1_200_000, *range(30_000, 1_200_000, 97_000), fps=5, drift=Fraction(1, 1000), **CHEAP)
    steady = person(1, 1_090_137, 109_000, 5_000, 101_000, fps=5, **CHEAP)
    check_sync(bench.compose(_cheap_room(drifting, steady)))


def test_memory_does_not_grow_with_the_length_of_the_room(bench: Bench) -> None:
    short, long = (_peak_kib(bench.lay_out(_meeting(length_ms))) for length_ms in (10_000, 600_000))
    assert long < short * MEMORY_GROWTH, f"{short >> 10} MiB, then {long >> 10} MiB"


def _peak_kib(job_file: Path) -> int:
    """Peak memory of composing ``job_file``.

    Linux includes the memory of the process that starts the command, so a small process starts it.
    """
    between = (
        "import resource, subprocess, sys;"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [sys.executable, "-S", "-c", between, str(COMMAND), str(job_file)]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=TIMEOUT_S).stdout)


def _meeting(length_ms: int) -> Room:
    return _cheap_room(*(person(number, 100 * number, length_ms, fps=5, **CHEAP) for number in range(3)))


def _cheap_room(*takes: Take) -> Room:
    audio = {"Codec": "aac_48000_1", "BitRate": 32}
    return Room(takes, size=(64, 36), fps=5, bit_rate_kbps=100, audio=audio)

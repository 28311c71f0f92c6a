"""The cost of commands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.measure import CommandError, run

WORKING = "import os, sys; os.fork() or os._exit(0); os.wait(); block = b'x' * (96 << 20); print('done', len(block))"


def test_output_and_memory_of_a_command(tmp_path: Path) -> None:
    program = f"{WORKING}; import time; time.sleep(0.5)"
    cost, said = run([[sys.executable, "-c", program]], tmp_path)
    assert said == f"done {96 << 20}\n"
    assert cost.cpu_s > 0
    assert cost.wall_s >= 0.5
    assert 96 < cost.process_mib < 200
    assert max(cost.course_mib) == cost.tree_mib


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="broken"):
        run([[sys.executable, "-c", "raise SystemExit('broken')"]], tmp_path)


def test_the_costs_of_commands_in_turn_are_added(tmp_path: Path) -> None:
    sleeping = [sys.executable, "-c", "import time; time.sleep(0.6)"]
    saying = [sys.executable, "-c", "print('last')"]
    cost, said = run([sleeping, sleeping, saying], tmp_path)
    assert said == "last\n"
    assert cost.wall_s >= 1.2
    assert len(cost.course_mib) >= 2
    assert max(cost.course_mib) == cost.tree_mib

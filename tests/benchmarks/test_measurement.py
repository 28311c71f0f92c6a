"""What commands cost."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.measurement import CommandError, Cost, run
from benchmarks.spending import Ledger

WORKING = "import os, sys; os.fork() or os._exit(0); os.wait(); block = b'x' * (96 << 20); print('done', len(block))"


def test_output_and_memory_of_a_command(tmp_path: Path) -> None:
    program = f"{WORKING}; import time; time.sleep(0.5)"
    cost, said = run([sys.executable, "-c", program], tmp_path)
    assert said == f"done {96 << 20}\n"
    assert cost.cpu_s > 0
    assert cost.wall_s >= 0.5
    assert 96 < cost.process_mib < 200
    assert max(cost.course_mib) == cost.tree_mib


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="broken"):
        run([sys.executable, "-c", "raise SystemExit('broken')"], tmp_path)


def test_costs_of_commands_in_turn() -> None:
    assert Cost(1, 2, 30, 20, (30,)).then(Cost(2, 3, 20, 25, (20,))) == Cost(3, 5, 30, 25, (30, 20))


def test_what_a_function_calls_is_not_counted_twice() -> None:
    ledger = Ledger()
    inner = ledger.watched("inner", lambda: sum(range(300_000)))
    ledger.watched("outer", lambda: [inner() for _ in range(5)])()
    assert ledger.calls == {"inner": 5, "outer": 1}
    assert ledger.spent_s["outer"] < ledger.spent_s["inner"]

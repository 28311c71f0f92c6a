"""Runs that say nothing."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from owtmix.batch.attempt import Ended, JobProgress
from owtmix.batch.lines import describe
from owtmix.batch.live_view import draw
from owtmix.batch.local import LocalRunner
from owtmix.batch.night import Status
from owtmix.batch.policy import is_killed
from owtmix.batch.silence import Silence
from tests.batch.made import attempt
from tests.batch.test_local import admission, shell


def end_of(of: LocalRunner, timeout_s: float = 20) -> Ended:
    until_s = time.monotonic() + timeout_s
    while time.monotonic() < until_s:
        if ended := of.wait(0.05):
            return ended[0]
    raise TimeoutError


def test_a_run_that_hangs_is_killed(tmp_path: Path) -> None:
    """Here it was stopped: no signal but SIGKILL ends it."""
    begun = replace(attempt(), log=tmp_path / "a.log")
    pid_file = tmp_path / "pid"
    runner = LocalRunner(
        shell(f"echo $$ > {pid_file}; echo hello; kill -STOP $$; exit 0"), 1, None, admission(), longest_silence_s=0.5
    )
    with closing(runner) as of:
        of.begin(begun)
        ended = end_of(of)
    assert ended.exit_status == -signal.SIGKILL
    assert is_killed(ended.exit_status)
    assert ended.error in {f"it said nothing for {seconds} s and was killed" for seconds in (0, 1, 2)}
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_a_run_that_says_something_is_left_alone(tmp_path: Path) -> None:
    begun = replace(attempt(), log=tmp_path / "a.log")
    talk = "for i in 1 2 3 4 5 6 7 8 9 10; do echo x >&2; sleep 0.3; done"
    with closing(LocalRunner(shell(talk), 1, None, admission(), longest_silence_s=2.5)) as of:
        of.begin(begun)
        of.wait(0.1)
        assert of.progress()["a"].silent_s < 2.5
        assert end_of(of).exit_status == 0


def test_only_time_in_which_the_batch_listens_is_silence() -> None:
    now_s = 0.0
    silence = Silence(lambda: now_s)
    silence.hear(1)
    for second in (1, 2, 3):
        now_s = float(second)
        silence.look()
    assert silence.of(1) == 3
    now_s += 10_000  # the batch was frozen
    silence.look()
    assert silence.of(1) == 8
    silence.hear(1)
    assert silence.of(1) == 0


@pytest.mark.parametrize("width", [60, 120])
def test_silence_is_shown_after_a_minute(width: int) -> None:
    running = {"a": JobProgress("composing", 10, 5, silent_s=75.4), "b": JobProgress("composing", 10, 5, silent_s=59)}
    status = Status(0, 0, 0, running, 0.5, None, is_draining=False)
    assert describe(status).endswith("50 %, a silent for 75 s")
    console = Console(width=width, height=24, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(draw(status, width, 24))
    lines = capture.get().splitlines()
    assert "silent for 75 s" in lines[1]
    assert "silent" not in "".join(lines[2:])

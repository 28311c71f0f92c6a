"""Recordings that are measured without a job."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from owtmix.base.errors import InputError
from owtmix.inputs.measure import probe_files
from owtmix.plan.media_info import ClockRules
from owtmix.workers.base import Death, DeathKind
from tests.support.command import TINY, record_once
from tests.support.executor import InProcessExecutor

CRASHED = Death(DeathKind.CRASHED, "crashes (SIGSEGV)")


class CrashingTogetherExecutor(InProcessExecutor):
    """A worker crashes unless it is alone."""

    def run(self, tasks: Any, *arguments: Any, **options: Any) -> Any:
        for outcome in super().run(tasks, *arguments, **options):
            yield outcome if options.get("alone") else replace(outcome, value=None, death=CRASHED)


def test_a_recording_whose_worker_crashed_is_measured_again_alone(tmp_path: Path) -> None:
    good = tmp_path / "good.mp4"
    record_once(TINY.takes[0], good)
    (report,) = probe_files(CrashingTogetherExecutor(), [good], ClockRules(), strict=False)
    assert not report.left_out


def test_a_file_that_cannot_be_looked_at_is_reported_among_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = tmp_path / "good.mp4"
    record_once(TINY.takes[0], good)
    (tmp_path / "folder").mkdir()
    bad = [tmp_path / name for name in ("n" * 300, "a/" * 3000, "folder", "none", "good.mp4/in")]
    with caplog.at_level(logging.WARNING):
        reports = probe_files(InProcessExecutor(), [*bad, good], ClockRules(), strict=False)
    reasons = [report.left_out or "" for report in reports]
    assert "more than 255 bytes" in reasons[0]
    assert "more than 4,000 bytes" in reasons[1]
    assert reasons[2:] == ["is not a file", "does not exist", "does not exist", ""]
    assert len(caplog.records) == len(bad)
    with pytest.raises(InputError, match="is not a file"):
        probe_files(InProcessExecutor(), bad, ClockRules(), strict=False)

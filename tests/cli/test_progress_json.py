"""Progress for programs: never silent for long."""

from __future__ import annotations

import json
import threading
import time
from fractions import Fraction
from typing import Any

import pytest

from owtmix.cli import progress_json
from owtmix.cli.progress_json import report_progress


def told(text: str) -> list[dict[str, Any]]:
    return [json.loads(line)["progress"] for line in text.splitlines()]


def test_the_last_values_are_told_again(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_json, "REPEAT_S", 0.05)
    threads = threading.active_count()
    with report_progress("room") as progress:
        time.sleep(0.5)
        progress.stage("composing", Fraction(10))
        progress.advance(Fraction(5))
        time.sleep(0.5)
    assert threading.active_count() == threads
    found = told(capsys.readouterr().err)
    stages = [values["stage"] for values in found]
    assert stages.count("starting") > 1
    assert stages.count("composing") > 1
    assert (found[-1]["percent"], found[-1]["job_id"]) == (50.0, "room")


def test_nothing_is_repeated_within_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    with report_progress("room") as progress:
        progress.stage("reading", None)
        time.sleep(0.5)
    assert [values["stage"] for values in told(capsys.readouterr().err)] == ["reading"]

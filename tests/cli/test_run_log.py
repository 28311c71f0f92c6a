"""Logging: plain lines on stderr, JSON lines in the log of the job."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from owtmix.base.errors import Interrupted
from owtmix.cli.run_log import RunLog

log = logging.getLogger("owtmix.test")


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("owtmix")
    before = (root.handlers[:], root.level, ours.level)
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.level, ours.level = before


def _entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_log_has_one_object_per_line_with_what_the_caller_added(tmp_path: Path) -> None:
    run_log = RunLog(logging.INFO)
    run_log.open("room", tmp_path / "logs")
    log.info("composing\n%s", "张三", extra={"stage": "render", "frames": 3})
    assert run_log.path == tmp_path / "logs" / "room.log"
    [entry] = _entries(run_log.path)
    assert entry["message"] == "composing\n张三"
    assert (entry["level"], entry["stage"], entry["frames"]) == ("info", "render", 3)
    assert entry["time"].endswith("+00:00")


def test_records_before_open_are_in_the_log_too(tmp_path: Path) -> None:
    run_log = RunLog(logging.INFO)
    log.debug("early")
    run_log.open("room", tmp_path)
    log.debug("late")
    assert [e["message"] for e in _entries(tmp_path / "room.log")] == ["early", "late"]


def test_runs_are_appended(tmp_path: Path) -> None:
    for run in ("first", "second"):
        RunLog(logging.INFO).open("room", tmp_path)
        log.info(run)
    assert [e["message"] for e in _entries(tmp_path / "room.log")] == ["first", "second"]


def test_a_traceback_is_in_the_log_and_not_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RunLog(logging.INFO).open("room", tmp_path)
    try:
        int("odd")
    except ValueError:
        log.exception("it failed")
    assert "Traceback" in _entries(tmp_path / "room.log")[0]["traceback"]
    shown = capsys.readouterr().err
    assert "error: it failed" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(("threshold", "shown"), [(logging.DEBUG, "dIw"), (logging.INFO, "Iw"), (logging.WARNING, "w")])
def test_quiet_and_verbose(threshold: int, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    RunLog(threshold)
    log.debug("D-line")
    log.info("I-line")
    log.warning("W-line")
    err = capsys.readouterr().err
    assert [name for name in "dIw" if f"{name.upper()}-line" in err] == list(shown)


def test_lines_have_the_time_where_stderr_is_not_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    RunLog(logging.INFO)
    log.warning("low")
    line = capsys.readouterr().err
    assert line.endswith(" warning: low\n")
    time.strptime(line[:19], "%Y-%m-%d %H:%M:%S")


def test_escape_sequences_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    RunLog(logging.INFO)
    log.info("file %s", "\x1b]0;owned\x07.mp4")
    assert "\\x1b]0;owned\\x07.mp4" in capsys.readouterr().err


def test_no_line_can_be_forged_or_turned_around(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_log = RunLog(logging.INFO)
    run_log.open("room", tmp_path / "logs")
    name = "a\n2026-11-26 10:00:00 error: forged\u202e\u2028\x9b2K"
    log.warning("%s is left out\nand so is another", name)
    first, second, third = capsys.readouterr().err.splitlines()
    assert first.endswith(" warning: a")
    assert second == "    2026-11-26 10:00:00 error: forged\\u202e\\u2028\\x9b2K is left out"
    assert third == "    and so is another"
    written = (tmp_path / "logs" / "room.log").read_text()
    assert "\\u202e\\u2028\\u009b" in written
    assert [entry["message"] for entry in _entries(tmp_path / "logs" / "room.log")] == [
        f"{name} is left out\nand so is another"
    ]


def test_secrets_are_redacted_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_log = RunLog(logging.INFO)
    run_log.hide(['s3"cr/et', None, ""])
    run_log.open("room", tmp_path)
    log.info("with %s, see https://h/?k=%s", 's3"cr/et', "s3%22cr%2Fet", extra={"key": 's3"cr/et'})
    written = (tmp_path / "room.log").read_text() + capsys.readouterr().err
    assert written.count("***") == 5
    assert "cr" not in written.replace("process", "")


def test_only_its_owner_can_read_a_log(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        RunLog(logging.INFO).open("room", tmp_path / "logs")
    finally:
        os.umask(before)
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "logs" / "room.log").stat().st_mode & 0o777 == 0o600


def test_what_lies_in_place_of_a_log_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    logs = tmp_path / "logs"
    logs.mkdir()
    target = tmp_path / "target"
    target.write_text("precious")
    (logs / "link.log").symlink_to(target)
    (logs / "second.log").hardlink_to(target)
    os.mkfifo(logs / "pipe.log")
    for name in ("link", "second", "pipe"):
        run_log = RunLog(logging.INFO)
        run_log.open(name, logs)
        log.info("on it goes")
        assert run_log.path
        assert run_log.path.parent == tmp_path
    assert target.read_text() == "precious"


def test_a_folder_that_cannot_be_written_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "file").write_text("")
    run_log = RunLog(logging.INFO)
    run_log.open("room", tmp_path / "file" / "logs")
    log.info("on it goes")
    assert run_log.path
    assert run_log.path.parent == tmp_path
    assert "warning: the log is in" in capsys.readouterr().err
    assert [e["message"] for e in _entries(run_log.path)][-1] == "on it goes"


class Interrupting:
    """A value that a signal meets while it is written to the log."""

    def __str__(self) -> str:
        raise Interrupted("stopped by SIGTERM")


def test_a_signal_while_a_message_is_written_stops_the_run(tmp_path: Path) -> None:
    """On stderr, which is all before the log's file is opened; and in the file, which alone has debug messages."""
    run_log = RunLog(logging.INFO)
    with pytest.raises(Interrupted):
        log.info("%s", Interrupting())
    run_log = RunLog(logging.WARNING)
    run_log.open("room", tmp_path)
    with pytest.raises(Interrupted):
        log.debug("%s", Interrupting())

"""What runs say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from owtmix.batch.attempt import JobProgress
from owtmix.batch.messages import LARGEST_LOG, LARGEST_REPORT, LONGEST_LINE, Messages, Report, describe_end


def progress(**values: Any) -> bytes:
    return json.dumps({"progress": values}).encode() + b"\n"


@pytest.fixture
def messages(tmp_path: Path) -> Messages:
    return Messages(tmp_path / "a.log", "a, attempt 1")


def test_progress_in_pieces_is_the_last_one_said(messages: Messages, tmp_path: Path) -> None:
    text = progress(stage="planning", percent=None) + progress(stage="composing", percent=20.7, left_s=31.0)
    for position in range(0, len(text), 7):
        messages.feed(text[position : position + 7])
    assert messages.progress == JobProgress("composing", 20.7, 31.0)
    messages.close()
    assert not (tmp_path / "a.log").exists()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (progress(stage="x" * 100, percent=1e9, left_s=-1), JobProgress("x" * 39 + "…", 100.0)),
        (progress(stage=None, percent=True, left_s="soon"), JobProgress()),
        (progress(stage="\x1b[2J"), JobProgress("\\x1b[2J")),
        (b'{"progress": {"percent": NaN, "left_s": Infinity}}\n', JobProgress()),
        (b'{"progress": []}\n', JobProgress()),
        (b'{"progress"\n', JobProgress()),
    ],
)
def test_progress_is_not_trusted(messages: Messages, line: bytes, expected: JobProgress) -> None:
    messages.feed(line)
    assert messages.progress == expected


def test_log_lines_are_kept_plain_and_the_last_error_is_known(messages: Messages, tmp_path: Path) -> None:
    messages.feed(b"2026-11-27 03:04:41 a error: no index\n2026-11-27 03:04:41 a warning: \xff\x1b[1m\nerror: last")
    messages.close()
    assert messages.last_error == "last"
    lines = (tmp_path / "a.log").read_text().splitlines()
    assert lines[0].endswith("a, attempt 1")
    assert lines[1:] == [
        "2026-11-27 03:04:41 a error: no index",
        "2026-11-27 03:04:41 a warning: \ufffd\\x1b[1m",
        "error: last",
    ]


def test_logs_and_lines_are_bounded(messages: Messages, tmp_path: Path) -> None:
    for _ in range(40):
        messages.feed(b"x" * LONGEST_LINE)
    messages.feed(b"\n" + b"y" * 1000 + b"\n")
    for _ in range(2000):
        messages.feed(b"z" * 1000 + b"\n")
    messages.close()
    text = (tmp_path / "a.log").read_text()
    assert LARGEST_LOG * 0.9 < len(text) < LARGEST_LOG * 1.1
    assert len(text.splitlines()[1]) == LONGEST_LINE
    assert text.endswith("what followed is left out\n")


def test_the_heading_of_a_log_is_plain(tmp_path: Path) -> None:
    messages = Messages(tmp_path / "log", "room\x1b]0;x\x07\n2026 error: \u202e")
    messages.feed(b"hello\n")
    messages.close()
    heading, line = (tmp_path / "log").read_text().splitlines()
    assert line == "hello"
    assert not {"\x1b", "\x07", "\u202e"} & set(heading)


def test_a_log_that_cannot_be_written_harms_nobody(tmp_path: Path) -> None:
    messages = Messages(tmp_path / "missing" / "a.log", "a")
    messages.feed(b"error: x\n")
    messages.close()
    assert messages.last_error == "x"


@pytest.mark.parametrize(
    ("data", "document"),
    [
        (b'{"output": "o"}\n', {"output": "o"}),
        (b"", None),
        (b"[1]", None),
        (b"not json", None),
        (b"\xff", None),
        (b"[" * 100_000, None),
        (b'{"a": "' + b"x" * LARGEST_REPORT + b'"}', None),
    ],
)
def test_a_report_is_a_json_object_of_some_size(data: bytes, document: object) -> None:
    report = Report()
    for position in range(0, len(data), 65_536):
        report.feed(data[position : position + 65_536])
    assert report.document() == document
    assert len(report._data) <= LARGEST_REPORT


@pytest.mark.parametrize(
    ("exit_status", "report", "last_error", "told"),
    [
        (0, None, "x", ""),
        (3, {"error": {"message": "no index"}}, "x", "no index"),
        (3, {"error": {"message": ["x"]}}, "x", "x"),
        (3, {"error": "x"}, "", "it ended with status 3 and said nothing"),
        (-9, None, "", "killed by SIGKILL"),
        (-11, None, "x", "killed by SIGSEGV after: x"),
        (-64, None, "", "killed by SIGRTMAX"),
        (-99, None, "", "killed by signal 99"),
        (4, {"error": {"message": "x" * 5000}}, "", "x" * 999 + "…"),
        (4, {"error": {"message": "a\x1b\nb"}}, "", "a\\x1b"),
    ],
)
def test_why_a_run_failed(exit_status: int, report: dict[str, Any] | None, last_error: str, told: str) -> None:
    assert describe_end(exit_status, report, last_error) == told


def test_of_an_error_of_several_lines_the_first_is_told() -> None:
    report = {"error": {"message": "\nData.A: is missing\nData.B: is missing"}}
    assert describe_end(2, report, "") == "Data.A: is missing"
    assert describe_end(-9, report, "") == "killed by SIGKILL after: Data.A: is missing"
    assert describe_end(2, {"error": {"message": "\n"}}, "") == "it ended with status 2 and said nothing"

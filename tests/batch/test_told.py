"""What a batch tells: summary, metrics, lines."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from owtmix.batch.attempt import JobProgress
from owtmix.batch.lines import clock, describe
from owtmix.batch.metrics import MetricsFile, escape, render
from owtmix.batch.night import Status
from owtmix.batch.plan import log_name
from owtmix.batch.policy import History, judge
from owtmix.batch.results_reader import Past
from owtmix.batch.summary import Summary
from owtmix.batch.tally import Tally
from tests.batch.made import attempt, ended

RESULT = {"output": "/out/a.mp4", "duration_s": 60.0, "warnings": ["x"]}


def tally(*ends: tuple[str, int | None, Any]) -> Tally:
    found = Tally()
    for name, exit_status, report in ends:
        end = ended(attempt(name), exit_status, report=report, error="bad\n\x1b", cpu_s=10)
        found.add(end, judge(exit_status, History(), 1 if exit_status == 4 else 3))
    return found


def summary(of: Tally, **more: Any) -> Summary:
    fixed: dict[str, Any] = {"left": 0, "unrecorded": 0, "wall_s": 30.0, "results": Path("/r.jsonl")}
    return Summary(of, **(fixed | more))


def test_the_summary_names_what_failed_and_why() -> None:
    of = tally(("a", 0, RESULT), ("b", 2, None), ("c", 4, None), ("d", 3, None), ("e", None, None))
    of.skip("z", Past("k", "rejected", History(), 2, "earlier"))
    text = summary(of, left=2, unrecorded=1).describe()
    assert text.splitlines() == [
        "done      1",
        "failed    3",
        "          b: rejected, status 2: bad\\n\\x1b",
        "          c: poisoned, status 4: bad\\n\\x1b",
        "          z: rejected, status 2: earlier",
        "skipped   1 of them, which had ended in an earlier run",
        "left      2: run the same command to go on",
        "repeated  2 attempts: inputs 1, node 1",
        "unwritten 1 ended attempt is not in the results",
        "output    0:01:00 in 0:00:30, 2.0 times as fast as it lasts",
        "CPU time  0:00:50",
        "results   /r.jsonl",
    ]


def test_many_failures_are_counted() -> None:
    of = tally(*((f"room-{number}", 2, None) for number in range(1000)))
    assert "          and 980 more: see the results" in summary(of).describe().splitlines()
    values = summary(of).to_json()
    assert (len(values["failures"]), values["more_failures"], values["rejected"]) == (20, 980, 1000)


@pytest.mark.parametrize(
    "report", [{}, {"duration_s": "x", "output": 7, "warnings": 3}, {"duration_s": float("nan")}, {"duration_s": True}]
)
def test_a_strange_report_counts_as_done(report: dict[str, Any]) -> None:
    of = tally(("a", 0, report))
    assert (of.done, of.output_s, of.output_bytes, of.warnings) == (1, 0, 0, 0)


def test_the_bytes_of_outputs_in_folders_count(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(bytes(100))
    of = tally(
        ("a", 0, {"output": str(tmp_path / "a.mp4")}),
        ("b", 0, {"output": "https://x/a.mp4"}),
        ("c", 0, {"output": "\0"}),
    )
    assert of.output_bytes == 100


def test_metrics_are_text_that_prometheus_reads() -> None:
    of = tally(("a", 0, RESULT), ("b", 3, None), ("c", -9, None))
    of.skip("y", Past("k", "poisoned", History(), 4, "earlier"))
    of.skip("z", Past("k", "done", History(), 0))
    text = render(of, 'C:\\"x"\n\udcff', waiting=3, running=2, busy=2, now_s=1.8e9 + 0.25)
    queue = r'queue="C:\\\"x\"\n\\udcff"'
    sample = r'owtmix_batch_[a-z_]+\{queue="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z]+="[a-z]+")?\} \d+(?:\.\d+)?'
    for line in text.splitlines():
        assert re.fullmatch(rf"# (?:HELP \w+ .+|TYPE \w+ (?:counter|gauge))|{sample}", line), line
    for expected in (
        f'owtmix_batch_jobs_total{{{queue},state="done"}} 1',
        f'owtmix_batch_jobs_total{{{queue},state="poisoned"}} 0',
        f'owtmix_batch_jobs_skipped{{{queue},state="done"}} 1',
        f'owtmix_batch_jobs_skipped{{{queue},state="poisoned"}} 1',
        f'owtmix_batch_jobs_skipped{{{queue},state="rejected"}} 0',
        f'owtmix_batch_retries_total{{{queue},reason="killed"}} 1',
        f"owtmix_batch_cpu_seconds_total{{{queue}}} 30",
        f'owtmix_batch_jobs{{{queue},state="waiting"}} 3',
        f"owtmix_batch_places_busy{{{queue}}} 2",
        f"owtmix_batch_written_timestamp_seconds{{{queue}}} 1800000000.25",
    ):
        assert expected in text.splitlines()
    assert text.endswith("\n")
    assert escape('a\\b"c\nd') == 'a\\\\b\\"c\\nd'


def test_a_metrics_file_is_replaced_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "batch.prom"
    path.write_text("old")
    before = path.open()
    metrics = MetricsFile(path, "q", Tally())
    metrics.write(1, 0)
    assert before.read() == "old"
    before.close()
    assert [*tmp_path.iterdir()] == [path]
    with caplog.at_level(logging.WARNING):
        path.unlink()
        path.mkdir()
        metrics.write(1, 0)
        metrics.write(1, 0)
    assert len(caplog.records) == 1
    assert [*tmp_path.iterdir()] == [path]


def test_how_far_a_batch_is_as_a_line() -> None:
    status = Status(1200, 1, 85, {"a": JobProgress()}, 0.234, 250.0, is_draining=False)
    assert describe(status) == "1,200 done, 1 failed, 1 running, 85 waiting, 23 %, 0:04:10 left"
    ending = Status(0, 0, 0, {}, 1.0, None, is_draining=True)
    assert describe(ending) == "0 done, 0 failed, 0 running, 0 waiting, 100 %, draining"
    assert (clock(0.4), clock(3661), clock(1e300)) == ("0:00:00", "1:01:01", "2777:46:40")


def test_logs_have_names_that_are_names() -> None:
    assert log_name("room-1") == "room-1.log"
    names = {log_name(name) for name in ("../x", "..", "a/b", "a_b", "x" * 200, "x" * 201, "王", "\n", "\udcff", ".")}
    assert len(names) == 10
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{5,150}", name) for name in names)

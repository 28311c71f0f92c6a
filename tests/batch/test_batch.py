"""Whole batches with a stand-in for ``owt-main``."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from owtmix.batch.policy import MOST_LOSSES, History
from owtmix.batch.queue import read_queue
from owtmix.batch.results_reader import read_journal
from tests.batch.stand_in import Site


def wait_for(site: Site, runs: int, timeout_s: float = 20) -> None:
    """Until so many runs have begun."""
    until_s = time.monotonic() + timeout_s
    while len([*site.marks.glob("*.*")]) < runs:
        assert time.monotonic() < until_s
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def all_gone(site: Site, timeout_s: float = 10) -> bool:
    """Whether no run is left some time later."""
    pids = [json.loads(mark.read_text() or "{}").get("pid", 0) for mark in site.marks.glob("*.*")]
    until_s = time.monotonic() + timeout_s
    while any(pid and alive(pid) for pid in pids):
        if time.monotonic() > until_s:
            return False
        time.sleep(0.05)
    return True


def test_all_jobs_are_done_and_none_twice(site: Site) -> None:
    for name in "abc":
        site.job(name)
    first = site.run()
    assert (first.status, first.summary["done"], first.summary["skipped"], first.messages) == (0, 3, 0, "")
    assert (first.summary["output_s"], first.summary["left"], first.summary["failures"]) == (180, 0, [])
    again = site.run()
    assert (again.status, again.summary["done"], again.summary["skipped"], again.summary["attempts"]) == (0, 3, 3, 0)
    assert len(site.tries("a")) == 1
    entry = site.entries()[0]
    assert " ".join(entry) == (
        "time id key cfg attempt state exit node wall_s cpu_s peak_mib output duration_s warnings chunks error log"
    )
    assert (entry["output"], entry["duration_s"], entry["warnings"]) == (f"/out/{entry['id']}", 60, 0)
    assert (entry["chunks"], entry["log"], entry["error"]) == ({"total": 2, "reused": 0}, None, None)
    assert entry["peak_mib"] > 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", entry["time"])


def test_what_owt_main_is_told(site: Site) -> None:
    cfg = site.job("a")
    manifest = site.queue / "jobs.jsonl"
    line = {"cfg": "a/cfg.json", "set": {"Data.X": "1"}, "index": "-i", "output": "./o.mp4", "device": "cuda"}
    manifest.write_text(json.dumps(line))
    site.run(queue=manifest)
    (run,) = site.tries("a")
    argv = [word for word in run["argv"] if not word.startswith(("--parent=", "--place", "--device="))]
    fixed = ["--json", "--quiet", "--progress=json", f"--state={site.path}/state", "--workers=1", "--decode-threads=1"]
    own = ['--set=Data.X="1"', "--index=-i", f"--output={site.queue}/o.mp4", str(cfg)]
    assert argv == [*fixed, "--no-wait", *own]


BY_EXIT_STATUS: Final[dict[str, tuple[tuple[int, ...], str, int]]] = {
    "done": ((0,), "done", 1),
    "rejected": ((2,), "rejected", 1),
    "no-inputs": ((3,), "poisoned", 3),
    "composed-then": ((4, 0), "done", 2),
    "no-room-twice": ((5, 5, 0), "done", 3),
    "killed-once": ((-9, 0), "done", 2),
    "crashing": ((-11,), "poisoned", 3),
    "stopped": ((130, 0), "done", 2),
    "busy": ((6, 6, 6, 6, 0), "done", 5),
    "not-set-up": ((1, 1, 0), "done", 3),
}


def test_by_exit_status(site: Site) -> None:
    for name, (ends, _, _) in BY_EXIT_STATUS.items():
        site.job(name, *ends)
    run = site.run()
    assert site.states() == {name: state for name, (_, state, _) in BY_EXIT_STATUS.items()}
    assert {name: len(site.tries(name)) for name in BY_EXIT_STATUS} == {
        name: tries for name, (_, _, tries) in BY_EXIT_STATUS.items()
    }
    assert run.status == 4
    reasons = {"inputs": 2, "composing": 1, "destination": 2, "killed": 3, "interrupted": 1, "busy": 4, "setup": 2}
    assert run.summary["retries"] == reasons


def test_a_job_that_is_always_killed_is_poisoned_alone_and_others_are_done(site: Site) -> None:
    site.job("bad", -9)
    others = [f"room-{number}" for number in range(6)]
    for name in others:
        site.job(name, lasts_s=0.1)
    run = site.run("--jobs", 3)
    assert run.status == 4
    assert site.states() == {"bad": "poisoned"} | dict.fromkeys(others, "done")
    (failure,) = run.summary["failures"]
    assert failure == {"id": "bad", "state": "poisoned", "exit": -9, "error": "killed by SIGKILL"}
    order = [entry["id"] for entry in site.entries()]
    assert order[-2:] == ["bad", "bad"]


def test_a_machine_that_is_not_set_up_ends_the_batch(site: Site) -> None:
    for name in "abc":
        site.job(name, 1)
    run = site.run("--jobs", 1)
    assert run.status == 1
    assert run.summary["left"] == 3
    assert "no host is set up" in run.messages


def test_a_program_that_is_not_there(site: Site) -> None:
    site.job("a")
    site.program.unlink()
    run = site.run()
    assert run.status == 1
    assert "stand-in is no program" in run.summary["error"]["message"]


def test_wrong_settings_are_told_before_anything_runs(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.job("a")
    monkeypatch.setenv("OWT_CONF", str(site.path / "missing.toml"))
    run = site.run()
    assert (run.status, site.tries("a"), run.summary["error"]["exit_status"]) == (1, [], 1)


def test_a_queue_that_is_wrong_runs_nothing(site: Site) -> None:
    site.job("a")
    manifest = site.queue / "jobs.jsonl"
    manifest.write_text('{"cfg": "a/cfg.json"}\n' + "junk\n" * 1000)
    run = site.run(queue=manifest)
    assert (run.status, site.tries("a"), site.results.exists()) == (2, [], False)
    lines = run.messages.splitlines()
    assert len(lines) == 101
    assert "error: line 2: " in lines[0]
    assert "error: and 900 more" in lines[-1]


def test_a_changed_job_is_done_again(site: Site) -> None:
    site.job("a", 2)
    assert site.run().status == 4
    site.job("a", 0)
    run = site.run()
    assert (run.status, run.summary["skipped"]) == (0, 0)


def test_failed_jobs_are_left_alone_until_asked_for(site: Site) -> None:
    site.job("a", 4)
    site.job("b")
    for again, tries_of_a, tries_of_b in (([], 1, 1), ([], 1, 1), (["failed"], 2, 1), (["all"], 3, 2)):
        run = site.run("--attempts", 1, *(["--again", *again] if again else []))
        assert (run.status, run.summary["poisoned"]) == (4, 1)
        assert (len(site.tries("a")), len(site.tries("b"))) == (tries_of_a, tries_of_b)


def test_the_order_of_cost_and_priority(site: Site) -> None:
    lines = []
    for name, cost, priority in (("a", 1, 0), ("b", 5, 0), ("c", 0, 1), ("d", 5, 0)):
        site.job(name)
        lines.append(json.dumps({"cfg": f"{name}/cfg.json", "cost": cost, "priority": priority}))
    manifest = site.queue / "jobs.jsonl"
    manifest.write_text("\n".join(lines))
    site.run("--jobs", 1, queue=manifest)
    site.run("--jobs", 1, "--order", "given", "--again", "all", queue=manifest)
    assert [entry["id"] for entry in site.entries()] == [*"cbda", *"cabd"]


def test_the_plan_runs_nothing_and_writes_nothing(site: Site) -> None:
    site.job("a")
    site.job("b", 2)
    site.run("--attempts", 1)
    site.job("b", 0)
    before = site.results.read_bytes()
    plan = site.run("--plan=json").summary
    assert [job["id"] for job in plan["jobs"]] == ["b"]
    assert plan["skipped"] == [{"id": "a", "cfg": str(site.queue / "a/cfg.json"), "state": "done"}]
    text = subprocess.run(site.command("--plan"), capture_output=True, text=True, check=True).stdout
    assert text.startswith("1 job has ended: 1 done\n1 job is to be run, in this order:")
    assert "seconds of one processor" in text
    assert (len(site.tries("b")), site.results.read_bytes()) == (1, before)


def test_the_plan_refuses_what_the_run_refuses(site: Site) -> None:
    site.job("a")
    site.results.write_text("junk\n")
    planned, run = site.run("--plan"), site.run()
    assert (planned.status, planned.summary) == (run.status, run.summary) == (2, planned.summary)
    assert "is no results file" in planned.messages


def test_the_plan_refuses_results_that_cannot_be_made(site: Site) -> None:
    site.job("a")
    logs = site.results.with_name("results.logs")
    logs.write_text("")
    planned, run = site.run("--plan"), site.run()
    assert (planned.status, run.status) == (2, 2)
    assert f"the folder {logs} cannot be used: it is no folder" in planned.messages


def test_a_plan_of_nothing_says_so(site: Site) -> None:
    site.job("a")
    site.run()
    text = subprocess.run(site.command("--plan"), capture_output=True, text=True, check=True).stdout
    assert text == "1 job has ended: 1 done\nnothing is to be run\n"


def test_the_plan_says_who_has_the_results(site: Site) -> None:
    site.job("a", lasts_s=30)
    with site.start("--grace", 0) as first:
        wait_for(site, 1)
        planned = site.run("--plan=json")
        assert planned.status == 0
        assert f"a batch runs with this results file (process {first.pid})" in planned.messages
        first.terminate()
        first.communicate(timeout=20)


def test_the_plan_says_how_long_the_night_is_at_least(site: Site) -> None:
    index = {"Files": [{"StreamId": "a_1", "Name": "a", "StartTime": 0, "EndTime": 600_000}]}
    for name in ("a", "b"):
        path = site.job(name)
        job = json.loads(path.read_text())
        job["Data"] = {"RecordingConfig": {"StorageConfig": {"Vendor": "local", "Bucket": "."}}}
        path.write_text(json.dumps(job))
        (path.parent / f"{name}.json").write_text(json.dumps(index))
    plan = site.run("--plan=json", "--jobs", 2).summary
    assert (plan["places"], plan["least_s"]) == (2, pytest.approx(sum(job["cost"] for job in plan["jobs"]) / 2))
    text = subprocess.run(site.command("--plan", "--jobs", 2), capture_output=True, text=True, check=True).stdout
    assert text.splitlines()[-1] == "all of them take at least about 0:00:30 on 2 places"


def test_a_cluster_that_cannot_be_reached_leaves_nothing_behind(site: Site) -> None:
    site.job("a")
    ended = site.run("--cluster", "127.0.0.1:1")
    assert ended.status == 1
    assert not site.results.exists()
    assert not site.results.with_name("results.logs").exists()


def test_two_batches_do_not_share_results(site: Site) -> None:
    site.job("a", lasts_s=30)
    with site.start("--grace", 0) as first:
        wait_for(site, 1)
        second = site.run()
        assert second.status == 2
        assert f"is in use: process {first.pid}, another batch, writes its results there" in second.messages
        first.terminate()
        first.communicate(timeout=20)
    assert len(site.tries("a")) == 1


def test_two_batches_on_one_machine_share_its_places(site: Site) -> None:
    for name in "abcdef":
        site.job(name, lasts_s=0.3)
    queues = []
    for number, names in enumerate(("abc", "def")):
        queue = site.queue / f"{number}.jsonl"
        queue.write_text("".join(json.dumps({"cfg": f"{name}/cfg.json"}) + "\n" for name in names))
        queues.append(queue)
    with (
        site.start("--jobs", 2, "--results", site.path / "0.jsonl", queue=queues[0]) as first,
        site.start("--jobs", 2, "--results", site.path / "1.jsonl", queue=queues[1]) as second,
    ):
        first.communicate(timeout=30)
        second.communicate(timeout=30)
    assert (first.returncode, second.returncode) == (0, 0)
    begun = sorted(run["begun"] for name in "abcdef" for run in site.tries(name))
    assert all(begun[number + 2] - begun[number] > 0.25 for number in range(4))


def test_two_batches_on_one_machine_take_turns(site: Site) -> None:
    queues, names_of = [], {"a": [f"a{number}" for number in range(16)], "b": [f"b{number}" for number in range(4)]}
    for batch, names in names_of.items():
        for name in names:
            site.job(name, lasts_s=0.3)
        queue = site.queue / f"{batch}.jsonl"
        queue.write_text("".join(json.dumps({"cfg": f"{name}/cfg.json"}) + "\n" for name in names))
        queues.append(queue)
    with site.start("--jobs", 1, "--results", site.path / "a.jsonl", queue=queues[0]) as first:
        wait_for(site, 1)
        with site.start("--jobs", 1, "--results", site.path / "b.jsonl", queue=queues[1]) as second:
            first.communicate(timeout=40)
            second.communicate(timeout=40)
    assert (first.returncode, second.returncode) == (0, 0)
    begun = {name: site.tries(name)[0]["begun"] for names in names_of.values() for name in names}
    order = "".join(name[0] for name in sorted(begun, key=lambda name: float(begun[name])))
    assert order.strip("a") == "bababab"


def test_a_batch_that_waits_says_why(site: Site) -> None:
    queues = []
    for name, lasts_s in (("a", 7.5), ("b", 0)):
        site.job(name, lasts_s=lasts_s)
        queue = site.queue / f"{name}.jsonl"
        queue.write_text(json.dumps({"cfg": f"{name}/cfg.json"}))
        queues.append(queue)
    with site.start("--jobs", 1, "--results", site.path / "a.jsonl", queue=queues[0]) as first:
        wait_for(site, 1)
        second = site.run("--jobs", 1, "--results", site.path / "b.jsonl", queue=queues[1])
        first.communicate(timeout=20)
    assert second.status == 0
    assert second.messages.count("waits: all places are taken by other batches\n") == 1


def test_a_batch_that_is_killed_goes_on(site: Site) -> None:
    for name in "abcd":
        site.job(name, lasts_s=0.4)
    with site.start("--jobs", 1) as batch:
        until_s = time.monotonic() + 20
        while not site.entries():
            assert time.monotonic() < until_s
            time.sleep(0.02)
        batch.kill()
        batch.communicate()
    assert all_gone(site)
    finished = {entry["id"] for entry in site.entries()}
    run = site.run("--jobs", 2)
    assert (run.status, run.summary["skipped"]) == (0, len(finished))
    assert set(site.states().values()) == {"done"}
    assert all(len(site.tries(name)) == 1 for name in finished)


def test_a_job_that_always_takes_the_batch_down_is_poisoned_and_others_are_done(site: Site) -> None:
    """It is the first one, and beside others; they are done before it begins again."""
    lines = []
    for name, cost in (("bad", 9), ("a", 1), ("b", 1), ("c", 1)):
        site.job(name, lasts_s=0.2, takes_down=name == "bad")
        lines.append(json.dumps({"cfg": f"{name}/cfg.json", "cost": cost}) + "\n")
    manifest = site.queue / "jobs.jsonl"
    manifest.write_text("".join(lines))
    for runs in range(MOST_LOSSES + 1):
        with site.start("--jobs", 2, queue=manifest) as batch:
            batch.communicate(timeout=20)
        assert batch.returncode == -signal.SIGKILL
        assert all_gone(site)
        assert len(site.tries("bad")) == runs + 1
    run = site.run("--jobs", 2, queue=manifest)
    assert (run.status, run.summary["left"], run.summary["done"]) == (4, 0, 3)
    assert site.states() == {"bad": "poisoned", "a": "done", "b": "done", "c": "done"}
    assert "bad is poisoned: the batch or its host went down while it ran" in run.messages
    assert site.run("--jobs", 2, queue=manifest).summary["skipped"] == 4
    assert len(site.tries("bad")) == MOST_LOSSES + 1
    done = [entry["id"] for entry in site.entries() if entry["state"] == "done"]
    assert sorted(done) == ["a", "b", "c"]
    assert [*site.results.with_name("results.logs").iterdir()] == []


def test_a_job_that_is_drained_or_done_is_no_loss(site: Site) -> None:
    site.job("a", lasts_s=30)
    with site.start("--grace", 0) as batch:
        wait_for(site, 1)
        batch.terminate()
        batch.communicate(timeout=20)
    assert read_journal(site.results).jobs["a"].history == History()
    assert [*site.results.with_name("results.logs").glob(".*.begun")] == []


def test_sigterm_drains(site: Site) -> None:
    for name in "abcd":
        site.job(name, lasts_s=0.6)
    with site.start("--jobs", 2, "--grace", 20) as batch:
        wait_for(site, 2)
        batch.terminate()
        out, err = batch.communicate(timeout=20)
    assert batch.returncode == 130
    summary = json.loads(out)
    assert (summary["done"], summary["left"]) == (2, 2)
    assert "nothing more begins; 2 running jobs have 20 s to end" in err
    assert site.run().summary["done"] == 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_without_grace_running_jobs_are_stopped(site: Site, number: int) -> None:
    for name in "ab":
        site.job(name, lasts_s=30)
    with site.start("--jobs", 2, "--grace", 0) as batch:
        wait_for(site, 2)
        begun_s = time.monotonic()
        batch.send_signal(number)
        batch.communicate(timeout=20)
    assert batch.returncode == 130
    assert time.monotonic() - begun_s < 5
    assert site.states() == {"a": "drained", "b": "drained"}


def test_a_second_signal_stops_and_a_stubborn_job_is_killed(site: Site) -> None:
    site.job("a", lasts_s=60, stubborn=True)
    with site.start("--grace", 60) as batch:
        wait_for(site, 1)
        batch.terminate()
        time.sleep(0.8)
        batch.terminate()
        out, err = batch.communicate(timeout=20)
    assert batch.returncode == 130
    assert all_gone(site)
    (entry,) = site.entries()
    assert (entry["state"], entry["exit"], entry["error"]) == ("drained", 130, "killed by SIGKILL")
    assert "1 running job has 60 s to end, and a second signal stops it at once" in err
    assert "stopping 1 running job: the next run goes on with it" in err
    assert "a is stopped" in err
    assert "tried again" not in err
    assert (json.loads(out)["left"], json.loads(out)["retries"]) == (1, {})
    assert read_journal(site.results).jobs["a"].history == History()


def test_a_job_that_is_stopped_again_and_again_is_not_blamed(site: Site) -> None:
    site.job("a", lasts_s=60)
    for runs in range(1, MOST_LOSSES + 3):
        with site.start("--grace", 0, "--attempts", 1) as batch:
            wait_for(site, runs)
            batch.terminate()
            out, _ = batch.communicate(timeout=20)
        assert (batch.returncode, json.loads(out)["retries"]) == (130, {})
    assert {entry["state"] for entry in site.entries()} == {"drained"}
    site.job("a")
    assert site.run().status == 0


def test_one_request_may_be_two_signals(site: Site) -> None:
    """``timeout`` sends SIGTERM to the process and to its group."""
    site.job("a", lasts_s=1)
    with site.start("--grace", 60) as batch:
        wait_for(site, 1)
        batch.terminate()
        batch.terminate()
        batch.communicate(timeout=20)
    assert (batch.returncode, site.states()) == (0, {"a": "done"})


def test_a_full_disk_ends_the_batch_with_a_sentence(site: Site) -> None:
    for name in "abcdef":
        site.job(name)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (800, 800))

    with site.start("--jobs", 1, preexec_fn=limit) as batch:
        out, err = batch.communicate(timeout=20)
    assert batch.returncode == 4
    assert "results.jsonl cannot be written: File too large: nothing more begins" in err
    summary = json.loads(out)
    assert (summary["unrecorded"], summary["left"] > 0) == (1, True)
    recorded = len(site.entries())
    assert recorded == summary["done"] - 1
    run = site.run()
    assert (run.status, run.summary["skipped"]) == (0, recorded)


def test_what_runs_say_is_in_a_log_of_the_job(site: Site) -> None:
    site.job("a", says=["\x1b[31mred", '{"progress": {"stage": "x"}}', "2026-11-27 03:04:41 a warning: slow"])
    site.run()
    log = Path(site.entries()[0]["log"])
    assert log == site.queue / "results.logs" / "a.log"
    lines = log.read_text().splitlines()
    assert lines[0].endswith("a, attempt 1")
    assert lines[1:] == ["\\x1b[31mred", "2026-11-27 03:04:41 a warning: slow"]
    assert (log.stat().st_mode & 0o777, log.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_hostile_names_are_escaped(site: Site) -> None:
    site.job("a", 2)
    site.job("b")
    manifest = site.queue / "jobs.jsonl"
    ids = ["\x1b[2J\n../../x\u202e", "../../etc/passwd"]
    lines = [{"cfg": f"{name}/cfg.json", "id": id_} for name, id_ in zip("ab", ids, strict=True)]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with site.start(queue=manifest) as batch:
        out, err = batch.communicate(timeout=20)
    assert all(text.replace("\n", "").isprintable() for text in (out, err))
    assert r"\x1b[2J\n../../x\u202e is rejected" in err
    assert json.loads(out)["failures"][0]["id"] == ids[0]
    assert {*site.states()} == {*ids}
    assert {path.parent for path in site.path.rglob("*.log")} <= {site.queue / "results.logs"}


def test_metrics_are_written(site: Site) -> None:
    site.job("a")
    site.job("b", 3)
    path = site.path / "batch.prom"
    site.run("--metrics", path)
    text = path.read_text()
    queue = f'queue="{site.results}"'
    assert f'owtmix_batch_jobs_total{{{queue},state="done"}} 1\n' in text
    assert f'owtmix_batch_retries_total{{{queue},reason="inputs"}} 2\n' in text
    assert f"owtmix_batch_output_seconds_total{{{queue}}} 60\n" in text
    assert path.stat().st_mode & 0o444 == 0o444


def jobs_in(metrics: Path) -> dict[str, int]:
    """How many jobs a metrics file says to wait and to run."""
    found = re.findall(r'^owtmix_batch_jobs\{.*state="(\w+)"\} (\d+)$', metrics.read_text(), re.MULTILINE)
    return {state: int(count) for state, count in found}


def test_metrics_of_a_run_that_crashed_are_replaced_although_nothing_is_left(site: Site) -> None:
    site.job("a")
    path = site.path / "batch.prom"
    site.run()
    assert site.run("--metrics", path).summary["skipped"] == 1
    assert 'owtmix_batch_jobs_skipped{queue="' in path.read_text()
    path.write_text(
        '# HELP owtmix_batch_jobs Jobs that are not ended.\nowtmix_batch_jobs{queue="q",state="running"} 1\n'
    )
    site.run("--metrics", path)
    assert jobs_in(path) == {"running": 0, "waiting": 0}


def test_metrics_are_there_from_the_beginning_and_true_while_callbacks_are_sent(site: Site) -> None:
    site.job("a", lasts_s=1, result={"callbacks": {"sent": 1, "left": 2}})
    path, sending = site.path / "batch.prom", site.path / "sending"
    wait = f'if sys.argv[-1] == "--all":\n    open({str(sending)!r}, "w"); time.sleep(1); sys.exit()\ncfg = json'
    site.program.write_text(site.program.read_text().replace("cfg = json", wait, 1))
    with site.start("--metrics", path) as batch:
        wait_for(site, 1)
        assert sum(jobs_in(path).values()) == 1
        until_s = time.monotonic() + 20
        while not sending.exists():
            assert time.monotonic() < until_s
            time.sleep(0.01)
        sent_s = path.stat().st_mtime_ns
        assert jobs_in(path) == {"running": 0, "waiting": 0}
        batch.communicate(timeout=20)
    assert path.stat().st_mtime_ns > sent_s
    assert jobs_in(path) == {"running": 0, "waiting": 0}


def test_metrics_that_cannot_be_written_are_a_warning(site: Site) -> None:
    site.job("a")
    run = site.run("--metrics", site.path / "missing" / "batch.prom")
    assert run.status == 0
    assert run.messages.count("batch.prom cannot be written: No such file or directory") == 1


def test_callbacks_that_jobs_left_are_sent_at_the_end(site: Site) -> None:
    site.job("a", result={"callbacks": {"sent": 1, "left": 2}})
    site.program.write_text(
        site.program.read_text()
        .replace(
            "cfg = json", 'if sys.argv[-1] == "--all":\n    open(%r, "a").write("sent\\n"); sys.exit()\ncfg = json', 1
        )
        .replace("%r", repr(str(site.path / "sent")))
    )
    assert site.run().status == 0
    assert (site.path / "sent").read_text() == "sent\n"


def test_names_that_the_locale_cannot_express(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "POSIX")
    monkeypatch.setenv("PYTHONCOERCECLOCALE", "0")
    monkeypatch.setenv("PYTHONUTF8", "0")
    cfg = site.job("会议室")
    manifest = site.queue / "jobs.jsonl"
    manifest.write_text(json.dumps({"cfg": "会议室/cfg.json", "set": {"Data.Text": "王"}}))
    assert site.run(queue=manifest).status == 0
    assert {'--set=Data.Text="王"', str(cfg)} <= {*site.tries("会议室")[0]["argv"]}


def test_a_closed_standard_error_harms_nobody(site: Site) -> None:
    site.job("a", 3, 0)
    command = ["sh", "-c", 'exec "$@" 2>&- >&-', "sh", *site.command()]
    subprocess.run(command, check=True, timeout=30, env=os.environ | {"TMPDIR": str(site.path)})
    assert site.states() == {"a": "done"}


def test_five_thousand_finished_jobs_are_skipped(site: Site) -> None:
    cfg = site.job("a")
    names = [f"r-{number}" for number in range(5000)]
    manifest = site.queue / "jobs.jsonl"
    manifest.write_text(
        "".join(json.dumps({"cfg": "a/cfg.json", "set": {"Internal.JobId": name}}) + "\n" for name in names)
    )
    results = []
    for job in read_queue(str(manifest)).jobs:
        entry = {"time": "", "id": job.id, "key": job.key, "cfg": str(cfg), "attempt": 1, "state": "done", "exit": 0}
        results.append(json.dumps(entry) + "\n")
    site.results.write_text("".join(results[:-1]))
    run = site.run(queue=manifest)
    assert (run.status, run.summary["skipped"], run.summary["attempts"]) == (0, 4999, 1)
    assert len(site.tries("a")) == 1


def test_a_machine_with_few_files_runs_fewer_jobs_or_says_so(site: Site) -> None:
    for name in "abcd":
        site.job(name, lasts_s=0.3)

    def limit(files: int) -> Callable[[], None]:
        return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    for files in range(10, 30):
        with site.start("--jobs", 4, preexec_fn=limit(files)) as batch:
            out, err = batch.communicate(timeout=30)
        assert "poisoned" not in site.states().values()
        if batch.returncode == 0:
            break
        if out:
            assert json.loads(out)["left"] == 4
            assert f"no host is set up: a process may open {files} files, which are too few" in err
    assert set(site.states().values()) == {"done"}
    assert re.search(r"from now on at most [123] jobs? at a time", err)


def test_one_file_cannot_be_two(site: Site) -> None:
    site.job("a")
    path = site.path / "a.prom"
    manifest = site.queue / "q.jsonl"
    manifest.write_text('{"cfg": "a/cfg.json"}\n')
    link = site.path / "link.jsonl"
    link.symlink_to(path)
    for options, queue in (
        (("--results", path, "--metrics", path), manifest),
        (("--results", link, "--metrics", path), manifest),
        (("--results", manifest), manifest),
        (("--results", site.queue / ".." / "jobs" / "q.jsonl", "--plan"), manifest),
    ):
        run = site.run(*options, queue=queue)
        assert (run.status, site.tries("a"), path.exists()) == (2, [], False)
        assert "are the same file" in run.messages


@pytest.mark.parametrize("option", ["--results", "--metrics"])
def test_what_is_written_beside_job_files_must_not_look_like_one(site: Site, option: str) -> None:
    site.job("a")
    run = site.run(option, site.queue / "made.json")
    assert (run.status, site.tries("a"), (site.queue / "made.json").exists()) == (2, [], False)
    assert "made.json; choose a name that does not end in .json" in run.messages


def test_results_that_are_cut_meanwhile_end_the_batch_with_a_sentence(site: Site) -> None:
    for name in "abcd":
        site.job(name, lasts_s=0.5)
    with site.start("--jobs", 1) as batch:
        until_s = time.monotonic() + 20
        while not site.entries():
            assert time.monotonic() < until_s
            time.sleep(0.01)
        os.truncate(site.results, 0)
        _, err = batch.communicate(timeout=20)
    assert batch.returncode == 4
    assert "was made shorter by" in err
    run = site.run()
    assert (run.status, run.summary["skipped"], run.summary["done"]) == (0, 1, 4)


def test_a_job_that_replaces_the_output_of_another_is_not_done(site: Site) -> None:
    """Only owt-main knows for sure where it writes: here the queue could not tell."""
    same = {"output": "/out/talk.mp4"}
    site.job("a", result=same)
    site.job("b", lasts_s=1, result=same)
    site.job("c", lasts_s=1.5)
    run = site.run("--jobs", 3)
    assert (run.status, run.summary["done"], run.summary["rejected"]) == (4, 2, 1)
    assert site.states() == {"a": "done", "b": "rejected", "c": "done"}
    entry = site.entries()[1]
    assert (entry["id"], entry["output"]) == ("b", "/out/talk.mp4")
    assert "it replaced the output of a, /out/talk.mp4: give it another one" in entry["error"]
    assert f"error: b is rejected: {entry['error']}" in run.messages

    again = site.run()  # a is made again, as it was replaced; b waits for a change
    assert (again.status, again.summary["done"], again.summary["rejected"]) == (4, 2, 1)
    assert [len(site.tries(name)) for name in "abc"] == [2, 1, 1]
    site.job("b")
    assert (site.run().status, [len(site.tries(name)) for name in "abc"]) == (0, [2, 2, 1])


def test_a_job_does_not_replace_its_own_output_nor_that_of_a_queue_before(site: Site) -> None:
    same = {"output": "/out/talk.mp4"}
    site.job("a", result=same)
    assert site.run().status == site.run("--again", "all").status == 0
    site.job("a", result=same, lasts_s=0.1)
    assert site.run().status == 0
    (site.queue / "a" / "cfg.json").unlink()
    site.job("renamed", result=same)
    assert site.run().status == 0
    assert site.states() == {"a": "done", "renamed": "done"}


def test_an_output_of_an_earlier_run_is_not_replaced_unnoticed(site: Site) -> None:
    site.job("a", result={"output": "/out/talk.mp4"})
    assert site.run().status == 0
    site.job("b", result={"output": "/out/talk.mp4"})
    assert (site.run().status, site.states()) == (4, {"a": "done", "b": "rejected"})


def test_the_summary_may_lie_in_the_queue(site: Site) -> None:
    site.job("a")
    with (site.queue / "summary.json").open("w") as out, site.start(stdout=out, stdin=None) as batch:
        assert batch.wait(30) == 0
    assert site.states() == {"a": "done"}


def test_a_broken_job_file_is_rejected(site: Site) -> None:
    site.job("a")
    (site.queue / "b.json").write_text("")
    site.program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m owtmix "$@"\n')
    run = site.run("-q")
    assert (run.status, site.states()["b.json"]) == (4, "rejected")
    assert "b.json is rejected: the job file is not usable JSON: the file is empty" in run.messages


@pytest.mark.parametrize("kind", ["ShortageError", "TriedEnoughError"])
def test_a_job_for_which_the_machine_is_too_short_is_left_for_the_next_run(site: Site, kind: str) -> None:
    """It is not poisoned, and says what is short; one that is done later is done."""
    site.job("always", 4, type=kind)
    site.job("twice", 4, 4, 0, type=kind)
    site.job("other")
    run = site.run("--jobs", 2, "--attempts", 2)
    assert run.status == 1
    assert site.states() == {"always": "lost", "twice": "done", "other": "done"}
    assert [len(site.tries(name)) for name in ("always", "twice", "other")] == [5, 3, 1]
    assert "nothing more begins: no host is set up: it ended with 4" in run.messages
    assert site.run("--jobs", 2, "--attempts", 2).status == 1
    assert [len(site.tries(name)) for name in ("always", "twice", "other")] == [10, 3, 1]


def test_a_job_file_whose_disk_is_away_for_a_while_is_tried_again(site: Site) -> None:
    """When the queue was read it was there. Nobody else is held up."""
    site.job("a", 2, 2, 0, type="UnreadableError")
    site.job("b")
    site.job("wrong", 2)
    run = site.run("--jobs", 1)
    assert run.status == 4
    assert site.states() == {"a": "done", "b": "done", "wrong": "rejected"}
    assert [len(site.tries(name)) for name in ("a", "b", "wrong")] == [3, 1, 1]

"""A job as a program runs it: what does its tasks and where its state goes are arguments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Final

import pytest
from PIL import Image

from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.errors import BusyError, DestinationError, InputError, Interrupted, SpecError
from owtmix.base.progress import NoProgress
from owtmix.jobfile.settings import Settings
from owtmix.jobfile.settings_file import INSTALLATION
from owtmix.jobfile.spec import NotifySpec
from owtmix.jobs import compose
from owtmix.jobs.job import Job, jobs_with_callbacks, resend, resend_all
from owtmix.jobs.lock import lock_job
from owtmix.jobs.options import Options
from owtmix.jobs.result import ChunkCount
from owtmix.notify.events import started
from owtmix.notify.notifier import Notifier
from owtmix.notify.options import SenderOptions
from owtmix.produce.workspace import Workspace
from owtmix.workers.base import Task
from owtmix.workers.sandbox import NO_NEW_PRIVILEGES
from tests.notify.receiver import answers, receiving
from tests.support.command import Command, change
from tests.support.executor import in_process
from tests.support.progress import RecordingProgress

ON_CPU: Final = Options(device="cpu")


def job(tiny: Path, done: list[Task], options: Options = ON_CPU) -> Job:
    """The job without processes; ``done`` will be its tasks."""
    return Job(tiny, Settings(), options, tiny.parents[1] / "state", in_process(done))


def kinds(tasks: Sequence[Task]) -> Counter[str]:
    return Counter(type(task).__name__ for task in tasks)


def test_whatever_does_the_tasks_the_output_is_the_same(tiny: Path, job_id: str) -> None:
    done: list[Task] = []
    result = job(tiny, done).run(NoProgress(), TemporaryPaths())
    assert kinds(done) == {"ProbeTask": 2, "ChunkTask": 1, "AudioTask": 1, "MuxTask": 1}
    made = Path(result.output).read_bytes()
    assert Path(result.output) == tiny.parent / "out" / f"{job_id}.mp4"
    by_workers = Job(tiny, Settings(), ON_CPU, tiny.parents[1] / "other").run(NoProgress(), TemporaryPaths())
    assert Path(by_workers.output).read_bytes() == made
    assert NO_NEW_PRIVILEGES in by_workers.confinement
    assert replace(by_workers, seconds={}, confinement=()) == replace(result, seconds={})


def test_secrets_of_images_in_updates_are_hidden(tiny: Path, job_id: str) -> None:
    """They are known once the updates have been read."""
    mark = {"Type": 2, "Image": "https://logos.example/a.png?sign=of-a-customer", "X": 0, "Y": 0}
    update = {"At": 600, "Action": "job.mixer.update", "Data": {"MixerConfig": {"WaterMark": [mark]}}}
    (tiny.parent / f"{job_id}.updates.jsonl").write_text(json.dumps(update) + "\n")
    hidden: list[str | None] = []
    state = tiny.parents[1] / "state"
    planned = Job(tiny, Settings(), ON_CPU, state, in_process([]), hidden.extend)
    planned.plan(NoProgress(), TemporaryPaths())
    assert "sign=of-a-customer" in hidden


def test_the_result_says_what_was_made(tiny: Path, job_id: str) -> None:
    (tiny.parent / "room" / "1-ben_1.webm").unlink()
    result = job(tiny, []).run(NoProgress(), TemporaryPaths())
    assert (result.job_id, result.frames, result.duration_s) == (job_id, 12, 1.2)
    assert result.chunks == ChunkCount(total=1, reused=0)
    assert result.device
    assert (result.device.composed_on, result.device.encoder) == (("cpu",), "libx264")
    assert (result.streams.used, result.streams.left_out) == (("anna_1",), ("ben_1",))
    assert result.files.used == ("room/0-anna_1.mp4",)
    assert [(left_out.file, left_out.reason) for left_out in result.files.left_out] == [
        ("room/1-ben_1.webm", "does not exist")
    ]
    assert [bool(report.left_out) for report in result.inputs] == [False, True]
    assert result.warnings == ("room/1-ben_1.webm is left out: does not exist",)
    assert result.seconds.keys() == {"planning", "composing", "publishing"}
    assert result.to_json() == {
        "job_id": job_id,
        "output": result.output,
        "duration_s": 1.2,
        "frames": 12,
        "chunks": {"total": 1, "reused": 0},
        "device": {"composed_on": ["cpu"], "encoder": "libx264", "why": result.device.why},
        "streams": {"used": ["anna_1"], "left_out": ["ben_1"]},
        "files": {
            "used": ["room/0-anna_1.mp4"],
            "left_out": [{"file": "room/1-ben_1.webm", "reason": "does not exist"}],
        },
        "inputs": result.to_json()["inputs"],
        "warnings": list(result.warnings),
        "seconds": dict(result.seconds),
        "callbacks": None,
        "confinement": [],
        "speakers": None,
    }


def test_without_a_picture_there_is_no_device(tiny: Path) -> None:
    change(tiny, "Data.RecordingConfig.MediaChannel", 1)
    done: list[Task] = []
    result = job(tiny, done, Options()).run(NoProgress(), TemporaryPaths())
    assert kinds(done) == {"ProbeTask": 2, "AudioTask": 1, "MuxTask": 1}
    assert (result.device, result.frames, result.chunks) == (None, 0, ChunkCount(total=0, reused=0))
    assert result.to_json()["device"] is None


def test_the_state_of_a_run_that_ends_well_is_gone(tiny: Path) -> None:
    job(tiny, []).run(NoProgress(), TemporaryPaths())
    left = [path for path in (tiny.parents[1] / "state").rglob("*") if path.is_file()]
    assert {path.parent.name for path in left} == {"probes", "work"}
    assert [path.name for path in left if path.parent.name == "work"] == [".sweep"]


def stop_before_publishing(stage: str) -> None:
    """Stops the run as a signal would."""
    if stage == "publishing":
        raise Interrupted("stopped by SIGTERM")


def test_what_was_composed_before_a_run_was_stopped_is_used_again(tiny: Path, job_id: str) -> None:
    temporary = TemporaryPaths()
    progress = RecordingProgress(stop_before_publishing)
    with pytest.raises(Interrupted):
        job(tiny, []).run(progress, temporary)
    assert progress.stages[-3:] == ["composing", "finishing", "publishing"]
    temporary.remove_all()
    assert not list((tiny.parent / "out").iterdir())
    assert list((tiny.parents[1] / "state" / "work" / job_id / "chunks").iterdir())
    again: list[Task] = []
    result = job(tiny, again).run(NoProgress(), TemporaryPaths())
    assert result.chunks == ChunkCount(total=1, reused=1)
    assert kinds(again) == {"MuxTask": 1}
    fresh: list[Task] = []
    assert job(tiny, fresh, replace(ON_CPU, fresh=True)).run(NoProgress(), TemporaryPaths()).chunks.reused == 0
    assert kinds(fresh) == {"ProbeTask": 2, "ChunkTask": 1, "AudioTask": 1, "MuxTask": 1}


def test_a_job_without_an_index_touches_no_output(tiny: Path, job_id: str) -> None:
    (tiny.parent / f"{job_id}.json").unlink()
    with pytest.raises(InputError, match="there is no index"):
        job(tiny, []).run(NoProgress(), TemporaryPaths())
    assert not (tiny.parent / "out").exists()


def test_an_output_that_cannot_be_written_costs_no_work(tiny: Path) -> None:
    (tiny.parent / "out").write_text("a file stands where the folder should be")
    done: list[Task] = []
    with pytest.raises(DestinationError):
        job(tiny, done).run(NoProgress(), TemporaryPaths())
    assert done == []


def test_a_plan_measures_and_composes_nothing(tiny: Path, job_id: str) -> None:
    done: list[Task] = []
    temporary = TemporaryPaths()
    plan = job(tiny, done).plan(NoProgress(), temporary)
    temporary.remove_all()
    assert (plan.job_id, plan.output_key, plan.duration_s) == (job_id, f"out/{job_id}.mp4", Fraction(3, 2))
    assert kinds(done) == {"ProbeTask": 2}
    assert {path.name for path in (tiny.parents[1] / "state").iterdir()} == {"probes", "work"}
    assert not list((tiny.parents[1] / "state" / "work").iterdir())
    assert not (tiny.parent / "out").exists()
    done.clear()
    assert job(tiny, done).plan(NoProgress(), temporary) == plan
    assert not done  # what was measured once is known


def test_a_preview_is_one_task(tiny: Path, tmp_path: Path) -> None:
    done: list[Task] = []
    temporary = TemporaryPaths()
    job(tiny, done).preview(Fraction(1), tmp_path / "one.png", NoProgress(), temporary)
    temporary.remove_all()
    assert kinds(done) == {"ProbeTask": 2, "StillTask": 1}
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.size == (160, 90)


@pytest.mark.parametrize(
    ("option", "key"), [("done/my", "done/my.mp4"), ("/tmp/x/my", "my.mp4"), ("done/$JobId", "done/{job_id}.mp4")]
)
def test_the_output_follows_the_option(tiny: Path, job_id: str, option: str, key: str) -> None:
    request = job(tiny, [], replace(ON_CPU, output=option)).request
    assert request.spec.output_key == key.format(job_id=job_id)


def test_an_output_that_is_no_key_is_refused(tiny: Path) -> None:
    with pytest.raises(SpecError, match="--output"):
        job(tiny, [], replace(ON_CPU, output="../../etc/$Nothing/../x\0"))


def test_the_chunk_length_of_the_options_comes_before_the_setting(tiny: Path) -> None:
    assert job(tiny, [], replace(ON_CPU, chunk_s=Fraction(2))).request.settings.video.chunk_s == 2
    assert job(tiny, []).request.settings == Settings()


def test_what_a_dead_receiver_did_not_get_is_counted_and_sent_by_resend(tiny: Path, job_id: str) -> None:
    settings = Settings()
    settings = settings.model_copy(update={"callbacks": settings.callbacks.model_copy(update={"wait_s": 0.1})})
    state = tiny.parents[1] / "state"
    with receiving(answers(503)) as receiver:
        told = {"Status": "open", "ServiceType": "job.mixer", "NotifyUrl": receiver.url}
        change(tiny, "Data.NotifyConfig", [told])
        result = Job(tiny, settings, ON_CPU, state, in_process([])).run(NoProgress(), TemporaryPaths())
        assert result.callbacks
        assert result.callbacks.left > 0
        left = result.callbacks.left
        assert f"{left} callbacks are not delivered: owt-main --resend {job_id}" in result.warnings
        assert jobs_with_callbacks(state) == [job_id]
        receiver.answer = answers(200)
        assert resend(job_id, Settings(), state) == {"job_id": job_id, "sent": left, "left": 0}
    assert jobs_with_callbacks(state) == []


def test_the_callbacks_of_all_jobs_but_those_that_run_are_sent(tmp_path: Path) -> None:
    with receiving(answers(200)) as receiver:
        for job_id in ("a", "b", "c"):
            told = (NotifySpec("job.mixer", receiver.url, None),)
            run = Notifier(job_id, "0", told, tmp_path / "outbox", SenderOptions(allowed=Settings().network.allow))
            run.notify(started())
            run.finish(0)
        busy: list[BusyError] = []
        with lock_job(tmp_path, "b"):
            reports = resend_all(Settings(), tmp_path, busy.append)
    assert [report["job_id"] for report in reports] == ["a", "c"]
    assert [report["left"] for report in reports] == [0, 0]
    assert "the job b is already running" in str(*busy)
    assert jobs_with_callbacks(tmp_path) == ["b"]


def test_a_local_file_that_is_named_as_a_key_is_pointed_at(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"x\.json in the working folder is \./x\.json"):
        job(tiny, [], Options(device="cpu", index="x.json")).plan(NoProgress(), TemporaryPaths())


def test_an_output_whose_extension_does_not_fit_is_refused(tiny: Path) -> None:
    for name in ("./talk.webm", "talk.mp3", "./talk.m4a"):
        with pytest.raises(SpecError, match=r"does not fit this output; \.mp4 does"):
            job(tiny, [], Options(device="cpu", output=name))


def test_an_index_of_another_room_is_named(tiny: Path) -> None:
    change(tiny, "Internal.RoomId", "another")
    change(tiny.parent / f"{json.loads(tiny.read_text())['Internal']['JobId']}.json", "RoomId", "this")
    plan = job(tiny, []).plan(NoProgress(), TemporaryPaths())
    assert "the index is of the room this, not of another (Internal.RoomId)" in plan.warnings


def test_text_that_does_not_fit_is_named(tiny: Path) -> None:
    marks = [{"Type": 3, "Text": "much too long " * 9, "X": 4, "Y": 4}, {"Type": 3, "Text": "low", "X": 0, "Y": 88}]
    change(tiny, "Data.MixerConfig.WaterMark", marks)
    warnings = job(tiny, []).plan(NoProgress(), TemporaryPaths()).warnings
    assert any("is wider than" in warning for warning in warnings)
    assert any("lies partly outside of" in warning for warning in warnings)


def test_an_output_option_silences_what_is_said_of_the_prefix_that_it_replaces(tiny: Path) -> None:
    change(tiny, "Data.RecordingConfig.StorageConfig.FileNamePrefix", "talk.webm")
    assert job(tiny, [], Options(device="cpu", output="./talk.mp4")).request.spec.warnings == ()
    assert len(job(tiny, []).request.spec.warnings) == 1


@pytest.mark.parametrize(("mib", "workers"), [(None, 8), (1 << 20, 8), (10, 1)])
def test_as_many_workers_compose_as_have_memory(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, mib: int | None, workers: int
) -> None:
    made: list[int] = []

    def watched(executor: object, count: int, *rest: object) -> Workspace:
        made.append(count)
        return Workspace(executor, count, *rest)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(compose, "available_memory_bytes", lambda: None if mib is None else mib << 20)
    monkeypatch.setattr(compose, "Workspace", watched)
    monkeypatch.setattr(compose, "best_runs", lambda _picture, _sources, workers: workers)
    job(tiny, [], Options(workers=8, device="cpu")).run(NoProgress(), TemporaryPaths())
    assert made == [workers]


def test_a_machine_that_does_not_confine_as_demanded_is_refused_before_anything_is_read(
    command: Command, tiny: Path
) -> None:
    """Here: one that makes no namespaces, as containers do."""
    settings = tiny.parent / "owt.toml"
    settings.write_text('[limits]\nrequire_confinement = ["network"]\n')
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NAMESPACES, str(tiny)],
        env={**os.environ, "OWT_CONF": str(settings), "PYTHONPATH": f"{command.root}:{INSTALLATION}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "does not confine workers by network, as limits.require_confinement in conf/owt.toml demands" in done.stderr
    assert "no-new-privileges" in done.stderr
    assert not list((tiny.parent / "out").iterdir())


WITHOUT_NAMESPACES = """
import sys
from tests.workers.attacks import deny_namespaces
deny_namespaces()
from owtmix.cli.main import main
main()
"""

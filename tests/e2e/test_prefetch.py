"""Prefetching: a job is planned and started before all its recordings are downloaded."""

from __future__ import annotations

import json
import re
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.stored import Stored, lay_out, problem, report
from tests.notify.receiver import receiving
from tests.storage.conftest import Service
from tests.storage.fault_proxy import Exchange, FaultProxy, Request, is_content, passed
from tests.support import people
from tests.support.command import Command, record_once
from tests.support.people import Take
from tests.support.room import Room

LARGE_BYTES: Final = 6 << 20

ROOM: Final = Room(
    takes=(
        Take("anna_1", 0, 2000, people.COLOURS[0], 440, size=(160, 90)),
        Take("ben_1", 6500, 1500, people.COLOURS[1], 660, size=(160, 90)),
    ),
    size=(160, 90),
    bit_rate_kbps=200,
)
"""A room of 8 s; the person who joins last is not in the first chunks. The files are made large."""

CHUNKS: Final = ("--chunk", "2")


def record_large(take: Take, path: Path) -> None:
    """Append an unused box to a recording, which makes it large."""
    record_once(take, path)
    with path.open("ab") as file:
        file.write(struct.pack(">I4s", LARGE_BYTES, b"free") + bytes(LARGE_BYTES - 8))


@pytest.fixture
def large(command: Command, service: Service, proxy: FaultProxy, tmp_path: Path, job_id: str) -> Stored:
    return lay_out(command, service, proxy, tmp_path / "job", job_id, ROOM, record_large)


@pytest.fixture
def local(tmp_path: Path, job_id: str) -> Path:
    """The job file of the same room in a folder."""
    return ROOM.write(tmp_path / "local", job_id, record_large)


def is_whole(name: str) -> Callable[[Request], bool]:
    """Whether a request is for a whole recording, or for the rest of one."""
    return lambda request: (
        is_content(request)
        and name in request.path
        and bool(re.fullmatch(r"bytes=\d+-", request.headers.get("range", "")))
    )


def fetched_bytes(large: Stored) -> int:
    return sum(request.sent_bytes for request in large.contents())


def plan(done: Any) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_plan_is_made_from_partial_downloads_and_equals_that_of_local_files(large: Stored, local: Path) -> None:
    planned = plan(large.run("--plan=json", large.job_file))
    assert 0 < fetched_bytes(large) < 2 * LARGE_BYTES / 4
    assert not large.proxy.count(is_whole(""))
    assert planned == plan(large.run("--plan=json", local))
    assert planned["sources"][0]["sounds"][0]["packet_samples"] == 1024


def the_late_one(large: Stored) -> str:
    (key,) = (key for key in large.service.keys() if "ben" in key)  # noqa: SIM118 - it is no dict
    return key


def test_a_recording_that_vanishes_while_others_are_composed_costs_its_own_tile_and_sound(large: Stored) -> None:
    """Composing does not wait for it."""
    key = the_late_one(large)
    large.configure(silence_s="60")
    goes = threading.Event()

    def vanish(exchange: Exchange) -> None:
        assert goes.wait(60)
        large.service.client.delete_object(Bucket=large.service.bucket, Key=key)
        passed(exchange)

    large.proxy.inject(vanish, only=is_whole("ben"))
    finished = large.command.root / "work" / large.job_id / "chunks" / "manifest.jsonl"
    with receiving() as receiver:
        large.tell(receiver.url)
        with large.start(*CHUNKS) as process:
            while not (finished.exists() and "track" in finished.read_text()):
                assert process.poll() is None, process.communicate()
            goes.set()
            said, errors = process.communicate()
        told = [r.json["Data"] for r in receiver.requests if r.event == "ucloud_mixer_warning"]
    assert process.returncode == 0, errors
    found = json.loads(said)
    assert found["warnings"] == [f"{key} is left out: does not exist"]
    assert [(one["WarnCode"], one["WarnMsg"]) for one in told] == [(101, f"{key} is left out")]
    used = key.replace("1-ben", "0-anna")
    assert found["files"] == {"used": [used], "left_out": [{"file": key, "reason": "does not exist"}]}
    assert [(i["left_out"], bool(i["picture"])) for i in found["inputs"]] == [(None, True), ("does not exist", False)]
    # Layout and duration are as planned.
    assert found["duration_s"] == 8


def test_with_strict_a_recording_that_changed_after_probing_is_an_error(large: Stored) -> None:
    """The changed recording has the same size as before."""
    key = the_late_one(large)

    def change(exchange: Exchange) -> None:
        large.service.put(key, bytes(len(large.service.get(key))))
        passed(exchange)

    large.proxy.inject(change, only=is_whole("ben"))
    done = large.run(*CHUNKS, "--quiet", "--strict", large.job_file)
    assert done.returncode == 3
    assert problem(done) == f"{key} is left out: changed since it was measured: run the job when nothing writes to it"


def test_recordings_larger_than_the_disk_budget_are_evicted_after_use(large: Stored, local: Path) -> None:
    """The budget is enough for either recording, but not for both."""
    large.configure(max_inputs_mib="8")
    inputs = large.command.root / "work" / large.job_id / "inputs"
    most = 0
    with large.start(*CHUNKS) as process:
        while process.poll() is None:
            with suppress(FileNotFoundError):
                most = max(most, sum(path.stat().st_blocks * 512 for path in inputs.iterdir()))
            time.sleep(0.01)
        said, errors = process.communicate()
    assert process.returncode == 0, errors
    assert LARGE_BYTES < most < 8 << 20
    assert json.loads(said)["warnings"] == []
    report(large.run(*CHUNKS, local))
    assert large.output() == (local.parent / "out" / f"{large.job_id}.mp4").read_bytes()


def test_a_preview_downloads_only_the_recordings_that_it_shows(large: Stored, tmp_path: Path) -> None:
    png = tmp_path / "still.png"
    done = large.run("--preview", "0.5", png, large.job_file)
    assert done.returncode == 0, done.stderr
    assert png.exists()
    assert large.proxy.count(is_whole("anna")) == 1
    assert not large.proxy.count(is_whole("ben"))

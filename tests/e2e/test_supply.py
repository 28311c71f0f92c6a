"""Nothing waits for everything: a job in a store is planned and begun before all of it is here."""

from __future__ import annotations

import json
import re
import struct
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cli.command import Command, record_once
from tests.e2e import people
from tests.e2e.people import Take
from tests.e2e.room import Room
from tests.e2e.stored import SHORT_PAUSES, Stored, lay_out, problem, report
from tests.notify.receiver import receiving
from tests.storage.conftest import Service
from tests.storage.fault_proxy import Exchange, FaultProxy, Request, is_content, passed

LARGE_BYTES: Final = 6 << 20

ROOM: Final = Room(
    takes=(
        Take("anna_1", 0, 2000, people.COLOURS[0], 440, size=(160, 90)),
        Take("ben_1", 1000, 3000, people.COLOURS[1], 660, size=(160, 90)),
    ),
    size=(160, 90),
    bit_rate_kbps=200,
)
"""Four seconds. The recordings are large, since a lot of nothing follows."""

CHUNKS: Final = ("--chunk", "1")


def record_large(take: Take, path: Path) -> None:
    """A recording with a box behind it that nobody needs."""
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
    """Whether a request is for all of a recording, or the rest of it."""
    return lambda request: (
        is_content(request)
        and name in request.path
        and bool(re.fullmatch(r"bytes=\d+-", request.headers.get("range", "")))
    )


def fetched_bytes(stored: Stored) -> int:
    return sum(request.sent_bytes for request in stored.contents())


def plan(done: Any) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_plan_is_made_from_parts_and_is_that_of_the_same_files_in_a_folder(large: Stored, local: Path) -> None:
    planned = plan(large.run("--plan=json", large.job_file))
    assert 0 < fetched_bytes(large) < 2 * LARGE_BYTES / 4
    assert not large.proxy.count(is_whole(""))
    assert planned == plan(large.run("--plan=json", local))
    assert planned["sources"][0]["audio"]["packet_samples"] == 1024


def test_composing_begins_before_the_last_recording_is_here(large: Stored, local: Path, tmp_path: Path) -> None:
    large.configure(silence_s="60")
    arrives = threading.Event()

    def late(exchange: Exchange) -> None:
        assert arrives.wait(60)
        passed(exchange)

    large.proxy.inject(late, only=is_whole("ben"))
    chunks = large.command.root / "work" / large.job_id / "chunks" / "manifest.jsonl"
    with large.start(*CHUNKS) as process:
        while not (chunks.exists() and "seen" in chunks.read_text()):
            assert process.poll() is None, process.communicate()
        assert not list((large.command.root / "work" / large.job_id / "inputs").glob("*ben*"))
        arrives.set()
        said, complained = process.communicate()
    assert process.returncode == 0, complained
    assert json.loads(said)["warnings"] == []
    report(large.run(*CHUNKS, local))
    assert large.output() == (local.parent / "out" / f"{large.job_id}.mp4").read_bytes()


@pytest.mark.parametrize("how", ["vanishes", "changes"])
def test_a_recording_that_goes_after_it_was_measured_costs_its_own_tile_and_sound(
    large: Stored, local: Path, how: str
) -> None:
    (key,) = (key for key in large.service.keys() if "ben" in key)  # noqa: SIM118 - it is no dict

    def go(exchange: Exchange) -> None:
        if how == "vanishes":
            large.service.client.delete_object(Bucket=large.service.bucket, Key=key)
        else:
            large.service.put(key, bytes(len(large.service.get(key))))
        passed(exchange)

    large.proxy.inject(go, only=is_whole("ben"))
    with receiving() as receiver:
        large.tell(receiver.url)
        found = report(large.run_with(SHORT_PAUSES, *CHUNKS, large.job_file))
        told = [r.json["Data"] for r in receiver.requests if r.event == "ucloud_mixer_warning"]
    why = {"vanishes": "does not exist", "changes": "changed since it was measured: run the job when nothing writes to it"}
    assert found["warnings"] == [f"{key} is left out: {why[how]}"]
    assert [(one["WarnCode"], one["WarnMsg"]) for one in told] == [(101, found["warnings"][0])]
    assert found["files"] == {"used": [key.replace("1-ben", "0-anna")], "left_out": [{"file": key, "reason": why[how]}]}
    assert [(i["left_out"], i["picture"] is None) for i in found["inputs"]] == [(None, False), (why[how], True)]
    # The layout is the planned one, and lasts as long.
    assert found["duration_s"] == 4
    again = report(large.run(*CHUNKS, local))
    assert again["duration_s"] == 4


def test_strict_wants_what_was_measured(large: Stored) -> None:
    (key,) = (key for key in large.service.keys() if "ben" in key)  # noqa: SIM118 - it is no dict

    def go(exchange: Exchange) -> None:
        large.service.client.delete_object(Bucket=large.service.bucket, Key=key)
        passed(exchange)

    large.proxy.inject(go, only=is_whole("ben"))
    done = large.run_with(SHORT_PAUSES, *CHUNKS, "--strict", large.job_file)
    assert done.returncode == 3
    assert problem(done) == f"{key} is left out: does not exist"


def test_recordings_that_are_more_than_the_disk_may_take_come_one_after_the_other(large: Stored, local: Path) -> None:
    """Anna has gone when ben comes."""
    takes = (ROOM.takes[0], replace(ROOM.takes[1], start_ms=3000))
    del takes


def test_a_preview_fetches_what_it_shows(large: Stored, tmp_path: Path) -> None:
    png = tmp_path / "still.png"
    done = large.run("--preview", "0.5", png, large.job_file)
    assert done.returncode == 0, done.stderr
    assert png.exists()
    assert large.proxy.count(is_whole("anna")) == 1
    assert not large.proxy.count(is_whole("ben"))

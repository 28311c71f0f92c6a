"""Receivers that never answer, and more of them, or of their events, than a machine has room for."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from owtmix.jobfile.bounds import MAX_RECEIVERS
from tests.attack.watching import watch
from tests.notify.receiver import receiving
from tests.support import people
from tests.support.command import TINY, Command, change, install
from tests.support.people import Take
from tests.support.room import EPOCH_MS, Json, Room

pytestmark = pytest.mark.timeout(600)

VISITS: Final = 200


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    command = install(tmp_path_factory.mktemp("installation") / "owt")
    settings = command.root / "conf" / "owt.toml"
    settings.write_text(settings.read_text().replace("wait_s = 60", "wait_s = 2"))
    return command


@contextmanager
def silent() -> Iterator[str]:
    """A URL whose server takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def receivers(url: str, count: int) -> list[Json]:
    return [
        {"Status": "open", "ServiceType": "job.mixer", "NotifyUrl": f"{url}/{number}", "Token": "t" * 100}
        for number in range(count)
    ]


def busy_room(folder: Path) -> Path:
    """Somebody who comes and goes again and again, with one short file; only sound is made."""
    take = Take("anna_1", 0, 1000, people.COLOURS[0], 440, picture=False, container="webm", audio_kbps=32)
    room = Room((take,), recording={"MediaChannel": 1, "FileType": ["m4a"]})
    job_file = room.write(folder, "busy", people.record)
    index = folder / "busy.json"
    document = json.loads(index.read_text())
    (entry,) = document["Files"]
    document["Files"] = [entry | {"StartTime": EPOCH_MS + 3000 * visit} for visit in range(VISITS)]
    index.write_text(json.dumps(document))
    return job_file


def test_many_events_for_silent_receivers_take_little(command: Command, tmp_path: Path) -> None:
    job_file = busy_room(tmp_path)
    alone = watch(command, "--fresh", job_file)
    assert alone.status == 0, alone.told
    with silent() as url:
        change(job_file, "Data.NotifyConfig", receivers(url, MAX_RECEIVERS))
        seen = watch(command, "--fresh", job_file)
    assert seen.status == 0, seen.told
    assert f"{MAX_RECEIVERS * (2 * VISITS + 3)} callbacks are not delivered" in seen.told
    assert seen.descriptors < alone.descriptors + MAX_RECEIVERS + 20
    assert seen.parent_mib < alone.parent_mib + 32, "12,800 messages for each of which something is kept"
    with receiving() as receiver:
        for batch in (command.root / "outbox").rglob("*.jsonl"):
            batch.write_text(batch.read_text().replace(url, receiver.url.removesuffix("/callback")))
        statuses = [command.run("--resend", "busy").returncode for _ in range(5)]
    assert statuses[-1] == 0
    by_url: dict[str, list[str]] = {}
    for request in receiver.requests:
        by_url.setdefault(request.path, []).append(request.id)
    assert len(by_url) == MAX_RECEIVERS
    assert all(len(set(ids)) == len(ids) for ids in by_url.values()), "no message twice"
    last = {request.path: request.json["Data"] for request in receiver.requests}
    assert {data["Status"] for data in last.values()} == {2}


@pytest.mark.parametrize("count", [33, 1100])
def test_more_receivers_are_refused(command: Command, tmp_path: Path, count: int) -> None:
    job_file = TINY.write(tmp_path, "many", people.record)
    change(job_file, "Data.NotifyConfig", receivers("http://127.0.0.1:1", count))
    seen = watch(command, job_file)
    assert seen.status == 2
    assert f"Data.NotifyConfig: found a list of {count:,}; accepted: a list of at most 32 objects" in seen.told
    assert not (tmp_path / "out").exists()

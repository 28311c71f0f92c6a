"""What becomes of a room: how it ends, what is recorded of it, and a store that is away."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from owtmix.demo.publisher import Clip
from owtmix.service.tokens import make_token
from tests.notify.receiver import receiving
from tests.support.participant import Participant, make_clip, wait_for
from tests.support.server import APP, BOTH_TYPES, LiveJob, LiveServer, serving, wait_until

SDP = {"content-type": "application/sdp"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mkv", "VP8")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    with serving(tmp_path) as running:
        yield running


def events(requests: Any) -> list[tuple[str, Any]]:
    """What a receiver was told, once each."""
    seen = {request.id: json.loads(request.body) for request in requests}
    return [(body["EventType"], body["Data"]) for body in seen.values()]


async def sent_for(seconds: float, job: LiveJob, clip: Clip) -> None:
    """Somebody is in the room for a while, and says goodbye."""
    alice = Participant(job.whip("alice_1"), clip)
    await alice.join()
    await wait_for(lambda: any(track["written"] for one in job.streams() for track in one["tracks"]), "frames come")
    await asyncio.sleep(seconds)
    await alice.leave()


def test_a_room_ends_by_itself_when_all_have_left(server: LiveServer, clip: Clip) -> None:
    with receiving() as receiver:
        job = server.record("lesson", idle_s=5, notify=receiver.url)
        asyncio.run(sent_for(2, job, clip))
        left_s = time.monotonic()
        job.wait_for_end()
        assert time.monotonic() - left_s > 4
        (file,) = job.index()["Files"]
        assert file["StreamId"] == "alice_1"
        wait_until(lambda: len(receiver.requests) >= 4, "all callbacks")
        told = events(receiver.requests)
    assert f"owt-main {job.described}" in httpx.get(f"{server.url}/jobs/{job.id}", trust_env=False).text
    assert [name for name, _ in told] == [
        "ucloud_record_status_update",
        "ucloud_record_file_infos",
        "ucloud_upload_status",
        "ucloud_record_status_update",
    ]
    assert [told[0][1], told[3][1]] == [{"Status": "SERVICE_STATUS_RUNNING"}, {"Status": "SERVICE_STATUS_EXITING"}]
    addresses = told[1][1]["FileList"]
    assert told[2][1] == {"Status": 0, "FileList": addresses}
    assert sorted(Path(address).name for address in addresses) == sorted(
        path.name for path in (server.store / "lesson").iterdir()
    )


def test_a_room_that_nobody_enters_ends_and_leaves_no_file(server: LiveServer) -> None:
    job = server.record("empty", idle_s=5)
    job.wait_for_end()
    assert not list(server.store.rglob("*.*"))
    assert "nothing was recorded" in server.ask("job.query", {"JobId": job.id})["Message"]


def test_nothing_is_recorded_while_recording_is_off(server: LiveServer, clip: Clip) -> None:
    job = server.record("parts")

    async def run() -> None:
        alice = Participant(job.whip("alice_1"), clip)
        await alice.join()

        def written() -> int:
            return sum(track["written"] for one in job.streams() for track in one["tracks"])

        def frames() -> int:
            return sum(track["frames"] for one in job.streams() for track in one["tracks"])

        await wait_for(lambda: written() > 20, "frames are recorded")
        assert (await asyncio.to_thread(server.ask, "job.record.stop", {"JobId": job.id}))["RetCode"] == 0
        await asyncio.sleep(1.5)
        before, came = written(), frames()
        await asyncio.sleep(1.5)
        assert frames() > came
        assert written() == before
        answer = await asyncio.to_thread(
            server.ask, "job.record.start", {"JobId": job.id}, {"RecordingConfig": {"MediaChannel": 3}}
        )
        assert answer["RetCode"] == 0
        await wait_for(lambda: written() > before, "frames are recorded again")
        await alice.leave()

    asyncio.run(run())
    job.stop()
    job.wait_for_end()
    assert {file["StreamId"] for file in job.index()["Files"]} == {"alice_1"}


def test_what_cannot_be_uploaded_is_kept_and_uploaded_at_the_next_start(server: LiveServer, clip: Clip) -> None:
    job = server.record("kept")
    asyncio.run(sent_for(1, job, clip))
    shutil.rmtree(server.store)
    server.store.write_text("a file in the place of the store")
    job.stop()

    def note() -> str:
        return httpx.get(f"{server.url}/jobs/{job.id}", trust_env=False).text

    wait_until(lambda: "attempt 1 of" in note(), "an attempt that failed is told")
    server.kill()
    server.store.unlink()
    server.store.mkdir()
    server.start()
    job.wait_for_end()
    assert [file["StreamId"] for file in job.index()["Files"]] == ["alice_1"]
    assert not list(job.folder.glob("journals/*"))


def test_the_service_ends_its_jobs_before_it_ends(server: LiveServer, clip: Clip) -> None:
    job = server.record("last")
    asyncio.run(sent_for(1, job, clip))
    assert server.terminate() == 0
    assert [file["StreamId"] for file in job.index()["Files"]] == ["alice_1"]
    assert server.processes("room") == []


def test_a_second_signal_ends_it_at_once_and_the_next_start_goes_on(server: LiveServer, clip: Clip) -> None:
    job = server.record("on")

    async def run() -> int:
        alice = Participant(job.whip("alice_1"), clip)
        await alice.join()
        await wait_for(job.streams, "the stream is there")
        (room,) = server.processes("room")
        shutil.rmtree(server.store)
        server.store.write_text("no store: finishing takes long")
        await asyncio.to_thread(server.signal, signal.SIGTERM)
        await asyncio.to_thread(wait_until, lambda: not server.processes("room"), "the room is ended")
        await asyncio.to_thread(server.signal, signal.SIGTERM)
        status = await asyncio.to_thread(server.wait)
        await alice.vanish()
        assert room
        return status

    assert asyncio.run(run()) == 0
    server.store.unlink()
    server.store.mkdir()
    server.start()
    job.wait_for_end()
    assert [file["StreamId"] for file in job.index()["Files"]] == ["alice_1"]


def test_any_configuration_that_is_accepted_reaches_the_room(server: LiveServer, clip: Clip) -> None:
    """Also after a restart of the service, which finds the room's process again."""
    job = server.record("large")
    names = [f"{number:04}{'明' * 60}_1" for number in range(2000)]
    update = {"SubscribeConfig": {"UnsubscribeAudio": names}}
    assert server.ask("job.subscribe.update", {"JobId": job.id}, update)["RetCode"] == 0
    server.kill()
    server.start()
    asyncio.run(sent_for(1, job, clip))
    job.stop()
    job.wait_for_end()
    assert [file["StreamId"] for file in job.index()["Files"]] == ["alice_1"]
    assert "cannot be changed" not in job.logs()


def test_two_services_do_not_share_a_folder(server: LiveServer) -> None:
    other = LiveServer(server.root)
    with pytest.raises(AssertionError, match="another owt-server uses the folder"):
        other.start()


def test_what_is_not_wanted_keeps_no_room_open(server: LiveServer, clip: Clip) -> None:
    only_bob = {"SubscribeAudio": ["bob_1"], "SubscribeVideo": ["bob_1"]}
    job = server.record("unwanted", idle_s=10, SubscribeConfig=only_bob)

    async def run() -> None:
        alice = Participant(job.whip("alice_1"), clip)
        await alice.join()
        await asyncio.to_thread(job.wait_for_end)
        await alice.vanish()

    asyncio.run(run())
    assert "alice_1: joined" in job.logs()
    assert not list(server.store.rglob("*.*"))


def test_senders_need_the_token_of_their_stream(tmp_path: Path, clip: Clip) -> None:
    with serving(tmp_path, f'min_free_mib = 64\napps = {{"{APP}" = "the key"}}') as server:

        def token(user: str, room: str = "guarded") -> str:
            return make_token(user, room, APP, SecretStr("the key"), int(time.time()), "abcdefgh")

        place = {"AppId": APP, "RoomId": "guarded", "Mode": 0, "ChannelType": 0, "RequestId": "0"}
        signed = {"Version": "1.0", "Token": token("teacher")}
        acquired = server.post(signed | {"Action": "job.acquire", "Internal": place})
        job = {"JobId": acquired["Data"]["JobId"]}
        data = {
            "RecordingConfig": {
                "MediaChannel": 3,
                "FileType": [*BOTH_TYPES],
                "StorageConfig": {"Vendor": "local", "Bucket": str(server.store)},
            }
        }
        assert server.post(signed | {"Action": "job.start", "Internal": job, "Data": data})["RetCode"] == 0
        for user, room, status in (("bob", "guarded", 403), ("alice", "other", 401), ("alice", "guarded", 201)):
            alice = Participant(f"{server.url}/whip/{APP}/guarded/alice_1", clip)
            answer = asyncio.run(alice.offered({"authorization": f"Bearer {token(user, room)}"}))
            assert answer.status_code == status, answer.text
        assert server.post({"Action": "job.stop", "Internal": job})["RetCode"] == 1
        assert server.post(signed | {"Action": "job.stop", "Internal": job})["RetCode"] == 0

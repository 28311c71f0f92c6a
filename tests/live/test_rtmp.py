"""Rooms whose participants publish by RTMP to Debian's nginx-rtmp, from where they are fetched."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import av
import httpx
import pytest
from pydantic import SecretStr

from owtmix.service.tokens import make_token
from tests.conftest import kernel_confines, kernel_isolates
from tests.live.conftest import Tell
from tests.notify.receiver import receiving
from tests.support.marks import Marks, Track, marks, read_track, start_s
from tests.support.rtmp import HAS_NGINX_RTMP, NO_NGINX_RTMP, RtmpPublisher, free_address, running_nginx
from tests.support.server import APP, LiveJob, LiveServer, kill, serving, wait_until

pytestmark = [pytest.mark.serial, pytest.mark.skipif(not HAS_NGINX_RTMP, reason=NO_NGINX_RTMP)]

APART_MS: Final = 200.0
"""Between participants, where machines are shared."""
LIP_SYNC_MS: Final = 30.0
"""From picture to sound, which count the same milliseconds: a picture lasts 40, and flashes are seen by pictures."""
LOST_S: Final = 1.0
"""By a reader that is killed."""
SECONDS: Final = 8.0
GONE_S: Final = 2
TONES: Final = {"alice_1": 1000, "bob_1": 700}


@dataclass(frozen=True)
class Rig:
    """A service, an nginx-rtmp, and a job that records a room."""

    server: LiveServer
    job: LiveJob
    rtmp: str

    def publisher(self, stream: str, b_frames: int = 0) -> RtmpPublisher:
        """One that has begun."""
        url = f"rtmp://{self.rtmp}/live/{stream}?AppId={APP}&RoomId={self.job.room}"
        publisher = RtmpPublisher(url, TONES[stream], b_frames)
        publisher.start()
        return publisher

    def heard(self) -> set[str]:
        return {one["stream"] for one in self.job.streams() if all(track["written"] for track in one["tracks"])}

    def files(self) -> list[dict[str, Any]]:
        """End the job; its files in the order of their beginning."""
        self.job.stop()
        self.job.wait_for_end()
        found: list[dict[str, Any]] = self.job.index()["Files"]
        return sorted(found, key=lambda entry: entry["StartTime"])

    def path(self, entry: dict[str, Any]) -> Path:
        return self.server.store / self.job.room / Path(entry["Name"]).name

    def readers(self) -> list[int]:
        """The processes that read streams: children of the room's."""
        (room,) = self.server.processes("room")
        children = Path(f"/proc/{room}/task/{room}/children").read_text().split()
        return [int(pid) for pid in children if "rtmp.reader" in Path(f"/proc/{pid}/cmdline").read_text()]


@contextmanager
def rig(root: Path, settings: str = "", **job: Any) -> Iterator[Rig]:
    """Of a service with more ``settings``; ``job`` has what the job is started with."""
    rtmp = free_address()
    lines = f'min_free_mib = 64\ngone_s = {GONE_S}\nrtmp = "rtmp://{rtmp}/live"\n{settings}'
    with serving(root, lines) as server, running_nginx(root / "nginx", rtmp, server.address):
        yield Rig(server, server.record("lesson", **job), rtmp)


def test_publishers_of_rtmp_are_recorded_together(tmp_path: Path, tell: Tell) -> None:
    with rig(tmp_path) as live:
        publishers = [live.publisher("alice_1", b_frames=2), live.publisher("bob_1")]
        wait_until(lambda: live.heard() == set(TONES), "both publishers are heard")
        time.sleep(SECONDS)
        _check_confinement(live.readers())
        for publisher in publishers:
            publisher.stop()
        wait_until(lambda: not live.job.streams(), "nobody is heard any more")
        files = {entry["StreamId"]: entry for entry in live.files()}
        assert set(files) == set(TONES), live.job.logs()
        tracks = {stream: read_track(live.path(entry)) for stream, entry in files.items()}
        seen = {stream: marks(tracks[stream], start_s(files[stream]), TONES[stream]) for stream in files}
        composed = read_track(live.job.compose())
        reordered = {stream: _is_reordered(live.path(entry)) for stream, entry in files.items()}
    for stream, found in seen.items():
        tell(f"{stream}: {found}, from picture to sound {_lip_sync_ms(found):+.1f} ms")
    together = [ms for found in seen.values() for ms in (found.flash_ms, found.beep_ms)]
    tell(f"participants, sound and picture are {max(together) - min(together):.1f} ms apart")
    assert len(composed.times_s) > SECONDS
    assert reordered == {"alice_1": True, "bob_1": False}
    assert max(together) - min(together) <= APART_MS
    for stream, found in seen.items():
        assert abs(_lip_sync_ms(found)) <= LIP_SYNC_MS, stream
        assert tracks[stream].longest_gap_s < 0.1, stream


def test_a_reader_that_is_killed_costs_a_second_of_one_stream(tmp_path: Path, tell: Tell) -> None:
    with rig(tmp_path) as live:
        publishers = [live.publisher(stream) for stream in TONES]
        wait_until(lambda: live.heard() == set(TONES), "both publishers are heard")
        time.sleep(3)
        killed, kept = live.readers()
        kill(killed)
        wait_until(lambda: len(live.readers()) == 2, "another reader runs")
        assert kept in live.readers()
        time.sleep(3)
        for publisher in publishers:
            publisher.stop()
        tracks = [read_track(live.path(entry)) for entry in live.files()]
    assert len(tracks) == 2, "the session goes on in its file"
    gaps = sorted((track.longest_gap_s, _longest_silence_s(track)) for track in tracks)
    tell(f"pictures are missing for {gaps[1][0]:.2f} s where the reader was killed, {gaps[0][0]:.2f} s elsewhere")
    assert gaps[0][0] < 0.1
    assert 0.1 < gaps[1][0] <= LOST_S


def test_a_publisher_that_stalls_and_one_that_comes_back_have_another_file(tmp_path: Path) -> None:
    with rig(tmp_path) as live:
        alice = live.publisher("alice_1", b_frames=2)
        wait_until(lambda: live.heard() == {"alice_1"}, "alice is heard")
        time.sleep(2)
        alice.stall(GONE_S / 2)
        time.sleep(1)
        assert len(live.job.streams()) == 1, "a short stall ends nothing"
        alice.stall(GONE_S + 2)
        wait_until(lambda: live.heard() == {"alice_1"}, "alice is heard again")
        time.sleep(2)
        alice.stop()
        wait_until(lambda: not live.job.streams(), "alice is gone")
        assert not alice.error
        again = live.publisher("alice_1")
        wait_until(lambda: live.heard() == {"alice_1"}, "alice has come back")
        time.sleep(2)
        again.stop()
        files = live.files()
        assert [entry["StreamId"] for entry in files] == ["alice_1"] * 3, live.job.logs()
        lengths = [(entry["EndTime"] - entry["StartTime"]) / 1000 for entry in files]
        seen = [marks(read_track(live.path(entry)), start_s(entry), TONES["alice_1"]) for entry in files[:1]]
    assert all(1 < length < 15 for length in lengths), lengths
    assert all(abs(_lip_sync_ms(one)) <= LIP_SYNC_MS for one in seen)


def test_a_room_that_is_killed_goes_on_with_its_publishers(tmp_path: Path) -> None:
    with rig(tmp_path) as live:
        alice = live.publisher("alice_1")
        wait_until(lambda: live.heard() == {"alice_1"}, "alice is heard")
        time.sleep(2)
        kill(live.server.processes("room")[0])
        wait_until(lambda: not live.heard(), "the room is gone")
        wait_until(lambda: live.heard() == {"alice_1"}, "alice is heard again")
        time.sleep(2)
        alice.stop()
        files = live.files()
    assert [entry["StreamId"] for entry in files] == ["alice_1"] * 2


def test_a_room_of_rtmp_is_told_subscribed_and_ended_as_others(tmp_path: Path) -> None:
    """What is subscribed, ``max_streams``, ``KeyStream``, ``IdleTime``, callbacks, page and metrics."""
    job = {"JobConfig": {"IdleTime": 5, "KeyStream": "alice_1"}, "SubscribeConfig": {"SubscribeVideo": ["alice_1"]}}
    with receiving() as receiver, rig(tmp_path, "max_streams = 2", notify=receiver.url, **job) as live:
        publishers = [live.publisher(stream) for stream in TONES]
        wait_until(lambda: set(TONES) == {one["stream"] for one in live.job.streams()}, "both are there")
        third = RtmpPublisher(f"rtmp://{live.rtmp}/live/carl_1?AppId={APP}&RoomId=lesson", 500)
        third.start()
        wait_until(lambda: third.error, "a third stream is refused")
        paths = ("metrics", f"jobs/{live.job.id}")
        seen = [httpx.get(f"{live.server.url}/{path}", trust_env=False).text for path in paths]
        assert "owt_streams 2.0" in seen[0]
        assert all(stream in seen[1] for stream in TONES)
        time.sleep(3)
        publishers[0].stop()
        live.job.wait_for_end()
        publishers[1].stop()
        kinds = {}
        for entry in live.job.index()["Files"]:
            with av.open(str(live.path(entry))) as file:
                kinds[entry["StreamId"]] = [stream.type for stream in file.streams]
        wait_until(lambda: len(receiver.requests) >= 4, "all callbacks")
        told = [request.event for request in receiver.requests]
    assert kinds == {"alice_1": ["video", "audio"], "bob_1": ["audio"]}
    assert told == [
        "ucloud_record_status_update",
        "ucloud_record_file_infos",
        "ucloud_upload_status",
        "ucloud_record_status_update",
    ]


def test_publishers_without_a_token_or_a_room_are_refused(tmp_path: Path) -> None:
    rtmp, key = free_address(), SecretStr("the key of the app")
    settings = f'min_free_mib = 64\nrtmp = "rtmp://{rtmp}/live"\napps = {{"{APP}" = "{key.get_secret_value()}"}}'
    tokens = {user: make_token(user, "lesson", APP, key, int(time.time()), "abcdefgh") for user in ("alice", "bob")}
    with serving(tmp_path, settings) as server, running_nginx(tmp_path / "nginx", rtmp, server.address):
        job = _recorded(server, tokens["alice"])
        tried = [("lesson", tokens["bob"]), ("lesson", "wrong"), ("lesson", ""), ("other", tokens["alice"])]
        for room, token in tried:
            refused = RtmpPublisher(_address(rtmp, room, token), 1000)
            refused.start()
            wait_until(lambda refused=refused: refused.error, "the publisher is refused")  # type: ignore[misc]
        taken = RtmpPublisher(_address(rtmp, "lesson", tokens["alice"]), 1000)
        taken.start()
        wait_until(lambda: list((job / "journals").glob("*.journal")), "alice is recorded")
        taken.stop()
        logs = [*tmp_path.glob("*.log"), *job.glob("*.log"), tmp_path / "nginx" / "log"]
        told = "".join(path.read_text() for path in logs if path.exists())
        readers = [Path(f"/proc/{pid}/cmdline").read_text() for pid in server.processes("room")]
    assert told.count("a publisher by RTMP is refused") == len(tried)
    for secret in (*tokens.values(), key.get_secret_value()):
        assert secret not in told
        assert secret not in "".join(readers)


def _recorded(server: LiveServer, token: str) -> Path:
    """The folder of a room that is recorded, where tokens are needed."""
    place = {"AppId": APP, "RoomId": "lesson", "Mode": 0, "ChannelType": 0, "RequestId": "0"}
    acquired = server.post({"Action": "job.acquire", "Token": token, "Internal": place})
    job = acquired["Data"]["JobId"]
    store = {"Vendor": "local", "Bucket": str(server.store), "FileNamePrefix": "lesson"}
    recording = {"MediaChannel": 3, "FileType": ["mp4", "webm"], "StorageConfig": store}
    started = {"Action": "job.start", "Token": token, "Internal": {"JobId": job}}
    answer = server.post(started | {"Data": {"RecordingConfig": recording}})
    assert answer["RetCode"] == 0, answer
    return server.state / "rooms" / str(job)


def _address(rtmp: str, room: str, token: str) -> str:
    return f"rtmp://{rtmp}/live/alice_1?AppId={APP}&RoomId={room}&Token={quote(token, safe='')}"


def _check_confinement(readers: list[int]) -> None:
    """Readers have no rights and no files but their pipes, and the kernel filters what they ask for."""
    assert len(readers) == len(TONES)
    for pid in readers:
        status = Path(f"/proc/{pid}/status").read_text()
        assert "NoNewPrivs:\t1" in status
        assert not kernel_confines() or "Seccomp:\t2" in status
        network = Path(f"/proc/{pid}/ns/net").readlink()
        assert not kernel_isolates() or network != Path("/proc/self/ns/net").readlink()


def _is_reordered(path: Path) -> bool:
    """Whether pictures are decoded in another order than they are shown in; in any case the times make sense."""
    with av.open(str(path)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.pts is not None and packet.dts is not None]
    decoded, shown = [packet.dts or 0 for packet in packets], [packet.pts or 0 for packet in packets]
    assert decoded == sorted(set(decoded))
    assert all(pts >= dts for pts, dts in zip(shown, decoded, strict=True))
    return shown != sorted(shown)


def _lip_sync_ms(found: Marks) -> float:
    return found.beep_ms - found.flash_ms


def _longest_silence_s(track: Track) -> float:
    beeps = track.beeps(1000) + track.beeps(700)
    return max((b - a for a, b in zip(sorted(beeps), sorted(beeps)[1:], strict=False)), default=0.0)

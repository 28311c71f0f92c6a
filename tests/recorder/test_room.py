"""The process of a room, from end to end: publishers on loopback, journals, events, and every way to end."""

from __future__ import annotations

import asyncio
import re
import resource
import signal
import stat
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from owtmix.recorder.control import RoomControl, RoomRefusedError
from owtmix.recorder.journal import Frame
from owtmix.recorder.options import JOURNALS
from tests.support.live import (
    JournalContent,
    RunningRoom,
    Sending,
    publish,
    room_process,
    running_room,
    small_clip,
    units,
    until,
    write_options,
)

Play = Callable[[RunningRoom], Awaitable[None]]


def play(folder: Path, scene: Play, **options: Any) -> None:
    async def run() -> None:
        async with running_room(folder, **options) as room:
            await scene(room)

    asyncio.run(run())


def check_sent(journal: JournalContent, sending: Sending) -> None:
    """All frames that were sent are in the journal, from the first on, with their times."""
    clip = small_clip("H264" if journal.codec == "h264" else "VP8")
    packets = clip.video if journal.kind == "video" else clip.audio
    track = sending.tracks[journal.kind]
    frames = journal.frames
    assert track.sent - 3 <= len(frames) <= track.sent
    expected = [packets[n % len(packets)] for n in range(len(frames))]
    if journal.codec == "h264":
        assert [units(frame.data) for frame in frames] == [units(packet.data) for packet in expected]
    else:
        assert [frame.data for frame in frames] == [packet.data for packet in expected]
    if journal.kind == "video":
        assert [frame.is_key for frame in frames] == [packet.is_key for packet in expected]
    rate = 90_000 if journal.kind == "video" else 48_000
    times = [round((frame.rtp - frames[0].rtp) * 1000 / rate) for frame in frames]
    length = packets[-1].t_s * 2 - packets[-2].t_s
    first = packets[0].t_s
    wanted = [(n // len(packets)) * length + packet.t_s - first for n, packet in enumerate(expected)]
    assert times == [pytest.approx(float(t * 1000), abs=1.5) for t in wanted]
    assert frames == sorted(frames, key=lambda frame: frame.arrived_us)


def test_two_publishers_are_journalled_without_a_loss(tmp_path: Path) -> None:
    async def scene(room: RunningRoom) -> None:
        sending = {"alice_1": await publish(room, "alice_1", "VP8"), "bob_1": await publish(room, "bob_1", "H264")}
        await asyncio.sleep(5)
        status = await room.control.status()
        assert {found["stream"] for found in status["sessions"]} == {"alice_1", "bob_1"}
        for session in status["sessions"]:
            assert session["began_us"] < session["last_us"] <= time.time_ns() // 1000
            picture = "vp8" if session["stream"] == "alice_1" else "h264"
            assert {track["codec"] for track in session["tracks"]} == {"opus", picture}
            assert all(track["lost"] == 0 and track["frames"] > 50 for track in session["tracks"])
        assert status["memory_bytes"] < 300 << 20
        for publisher in sending.values():
            await publisher.close()
        assert (await until(room, "left", "alice_1"))["why"] == "the sender said goodbye"
        await room.control.stop()
        assert room.process.wait(30) == 0
        journals = room.journals()
        assert [(found.kind, found.ended) for found in journals].count(("video", True)) == 2
        assert len(journals) == 4
        for journal in journals:
            check_sent(journal, sending[journal.stream])
            assert len(journal.reports) >= 2
        assert "ice-pwd" not in (room.folder / "log").read_text(encoding="utf-8")

    play(tmp_path / "room", scene)


def test_leave_replace_and_stop(tmp_path: Path) -> None:
    async def scene(room: RunningRoom) -> None:
        first = await publish(room, "alice_1", "VP8")
        await until(room, "joined", "alice_1")
        second = await publish(room, "alice_1", "VP8", "audio")
        left = await until(room, "left", "alice_1")
        assert (left["session"], left["why"]) == (first.session, "replaced")
        joined = await until(room, "joined", "alice_1")
        assert joined["session"] == second.session
        with pytest.raises(RoomRefusedError) as caught:
            await room.control.leave(first.session)
        assert caught.value.status == 404
        await room.control.leave(second.session)
        assert (await until(room, "left", "alice_1"))["why"] == "left"
        status = await room.control.status()
        assert (status["sessions"], status["ended"]) == ([], [first.session, second.session])
        third = await publish(room, "bob_2", "H264")
        await until(room, "joined", "bob_2")
        await room.control.stop()
        assert (await until(room, "left", "bob_2"))["why"] == "stopped"
        assert room.process.wait(30) == 0
        for sending in (first, second, third):
            await sending.close()
        journals = room.journals()
        assert {journal.path.name.split(".")[0] for journal in journals} == {
            first.session,
            second.session,
            third.session,
        }
        assert all(journal.ended and journal.frames for journal in journals)

    play(tmp_path / "room", scene)


def test_a_killed_room_leaves_all_but_the_last_moment(tmp_path: Path) -> None:
    async def scene(room: RunningRoom) -> None:
        sending = await publish(room, "alice_1", "H264")
        await until(room, "joined", "alice_1")
        await asyncio.sleep(3)
        killed_us = time.time_ns() // 1000
        room.process.kill()
        room.process.wait()
        for journal in room.journals():
            assert not journal.ended
            assert 0 <= killed_us - journal.frames[-1].arrived_us < 1_000_000
        with pytest.raises(ConnectionError):
            await room.control.status()
        await sending.close()

    play(tmp_path / "room", scene)


def test_a_room_that_hangs_can_be_ended(tmp_path: Path) -> None:
    async def scene(room: RunningRoom) -> None:
        room.process.send_signal(signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            await room.control.request("status", timeout_s=0.5)
        room.control.kill()
        assert await asyncio.to_thread(room.process.wait, 30) == -signal.SIGKILL
        room.control.kill()

    play(tmp_path / "room", scene)


def test_what_is_not_subscribed_is_not_journalled(tmp_path: Path) -> None:
    async def scene(room: RunningRoom) -> None:
        alice, bob = await publish(room, "alice_1", "VP8"), await publish(room, "bob_1", "VP8")
        for stream in ("alice_1", "bob_1"):
            await until(room, "joined", stream)
        await asyncio.sleep(1.5)
        assert {(j.stream, j.kind) for j in room.journals()} == {("alice_1", "audio")}
        await room.control.update(media_channel=3, subscribe={"UnsubscribeVideo": ["bob_1"]})
        await asyncio.sleep(2.5)
        both = {("alice_1", "audio"), ("alice_1", "video"), ("bob_1", "audio")}
        assert {(j.stream, j.kind) for j in room.journals()} == both
        await room.control.update(subscribe={"MaxSubscriptions": 1, "UnsubscribeAudio": ["alice_1"]})
        await asyncio.sleep(1.5)
        assert [(j.stream, j.kind) for j in room.journals() if not j.ended] == [("alice_1", "video")]
        await room.control.leave(alice.session)
        await asyncio.sleep(2.5)
        open_ones = {(j.stream, j.kind) for j in room.journals() if not j.ended}
        assert open_ones == {("bob_1", "audio"), ("bob_1", "video")}
        for journal in room.journals():
            assert journal.frames[0].is_key
        with pytest.raises(RoomRefusedError, match=r"SubscribeConfig\.MaxSubscriptions"):
            await room.control.update(subscribe={"MaxSubscriptions": 0})
        with pytest.raises(RoomRefusedError, match="MediaChannel"):
            await room.control.update(media_channel=7)
        for sending in (alice, bob):
            await sending.close()

    play(tmp_path / "room", scene, media_channel=1, subscribe={"UnsubscribeAudio": ["bob_1"]})


def test_a_silent_sender_has_left(tmp_path: Path) -> None:
    async def scene(room: RunningRoom) -> None:
        sending = await publish(room, "alice_1", "VP8")
        await until(room, "joined", "alice_1")

        async def say_nothing(_data: bytes) -> None:
            pass

        for sender in sending.publisher.connection.getSenders():
            vars(sender.transport.transport)["_send"] = say_nothing
        silent_s = time.monotonic()
        assert (await until(room, "left", "alice_1"))["why"] == "no packets for 1.5 s"
        assert 1.0 < time.monotonic() - silent_s < 10
        assert all(journal.ended for journal in room.journals())
        await sending.close()

    play(tmp_path / "room", scene, silence_s=1.5)


def test_nobody_is_silent_while_the_room_is_held_up(tmp_path: Path) -> None:
    """What waits to be received is received when its process goes on."""

    async def scene(room: RunningRoom) -> None:
        sending = await publish(room, "alice_1", "VP8")
        await until(room, "joined", "alice_1")
        room.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(4)
        room.process.send_signal(signal.SIGCONT)
        await asyncio.sleep(2)
        assert [found["stream"] for found in (await room.control.status())["sessions"]] == ["alice_1"]
        await sending.close()
        await room.control.stop()
        assert room.process.wait(30) == 0
        for journal in room.journals():
            check_sent(journal, sending)

    play(tmp_path / "room", scene, silence_s=1.5)


def test_a_sender_that_never_connects_is_given_up(tmp_path: Path) -> None:
    async def scene(room: RunningRoom) -> None:
        sending = await publish(room, "alice_1", "VP8")
        offer = sending.publisher.connection.localDescription.sdp
        await sending.close()
        await room.control.offer("carol_1", offer)
        assert (await until(room, "left", "carol_1"))["why"] == "nothing came within 1 s"
        assert not [journal for journal in room.journals() if journal.stream == "carol_1"]

    play(tmp_path / "room", scene, connect_s=1.0)


def test_a_full_disk_is_told_and_survived(tmp_path: Path) -> None:
    """The limit of a file's size stands in for the disk's."""

    async def scene(room: RunningRoom) -> None:
        sending = await publish(room, "alice_1", "VP8")
        await until(room, "joined", "alice_1")
        await asyncio.sleep(1.5)
        _, most = resource.prlimit(room.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(room.process.pid, resource.RLIMIT_FSIZE, (1000, most))
        assert (await until(room, "disk_full", "alice_1"))["why"]
        await asyncio.sleep(2)
        resource.prlimit(room.process.pid, resource.RLIMIT_FSIZE, (most, most))
        await until(room, "disk_ok", "alice_1")
        await asyncio.sleep(2.5)
        await sending.close()
        await until(room, "left", "alice_1")
        for journal in room.journals():
            gaps_us = [b.arrived_us - a.arrived_us for a, b in zip(journal.frames, journal.frames[1:], strict=False)]
            assert max(gaps_us) > 1_500_000
            after = journal.frames[gaps_us.index(max(gaps_us)) + 1]
            assert isinstance(after, Frame)
            assert after.is_key
            assert journal.ended

    play(tmp_path / "room", scene)


def test_ports_are_within_the_range(tmp_path: Path) -> None:
    async def scene(room: RunningRoom) -> None:
        sending = await publish(room, "alice_1", "VP8", "audio")
        answer = sending.publisher.connection.remoteDescription.sdp
        ports = {int(line.split()[5]) for line in answer.splitlines() if line.startswith("a=candidate")}
        assert len(ports) == 1
        assert ports <= set(range(42_000, 42_101))
        await sending.close()

    play(tmp_path / "room", scene, ice_ports=(42_000, 42_100))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_the_room_as_stop_does(tmp_path: Path, number: signal.Signals) -> None:
    async def scene(room: RunningRoom) -> None:
        sending = await publish(room, "alice_1", "VP8")
        await until(room, "joined", "alice_1")
        room.process.send_signal(number)
        assert (await until(room, "left", "alice_1"))["why"] == "stopped"
        assert await asyncio.to_thread(room.process.wait, 30) == 0
        assert all(journal.ended for journal in room.journals())
        await sending.close()

    play(tmp_path / "room", scene)


def test_a_room_outlives_its_server_and_another_one_finds_it(tmp_path: Path) -> None:
    async def scene(room: RunningRoom) -> None:
        sending = await publish(room, "alice_1", "VP8", "audio")
        await until(room, "joined", "alice_1")
        await room.control.close()
        await asyncio.sleep(1.5)
        room.control = await RoomControl.connect(room.folder)
        (session,) = (await room.control.status())["sessions"]
        assert session["session"] == sending.session
        await sending.close()

    play(tmp_path / "room", scene)


def test_an_orphan_ends(tmp_path: Path) -> None:
    write_options(tmp_path, orphan_s=1.0)
    with room_process(tmp_path) as process:
        assert process.wait(60) == 0


def test_one_process_at_a_time_and_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 50) / "room"

    async def scene(room: RunningRoom) -> None:
        with room_process(folder) as second:
            assert await asyncio.to_thread(second.wait, 60) == 6
        mode = (folder / "control").stat().st_mode
        assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)
        room.process.kill()

    play(folder, scene)
    assert (folder / "control").is_socket()
    play(folder, lambda room: room.control.stop())


@pytest.mark.parametrize("options", [b"", b"[]", b"{}", b'{"job_id": "a", "app_id": "b", "room_id": "c", "x": 1}'])
def test_a_room_without_usable_options_does_not_start(tmp_path: Path, options: bytes) -> None:
    (tmp_path / "room.json").write_bytes(options)
    with room_process(tmp_path) as process:
        assert process.wait(60) == 2
    assert not (tmp_path / JOURNALS).exists()


def test_redundant_sound_and_congestion_feedback_are_taken_with_the_offers_own_numbers(tmp_path: Path) -> None:
    """Browsers number redundant sound below 64, where aiortc by itself would answer with a number of its own."""

    async def scene(room: RunningRoom) -> None:
        sending = await publish(room, "alice_1", "VP8", "audio")
        offer = sending.publisher.connection.localDescription.sdp
        added = "a=rtpmap:63 red/48000/2\r\na=fmtp:63 96/96\r\na=rtcp-fb:96 transport-cc\r\n"
        offer = re.sub(r"(m=audio .*?)\r\n", r"\1 63\r\n", offer, count=1)
        offer = offer.replace("a=rtpmap:96 opus/48000/2\r\n", f"a=rtpmap:96 opus/48000/2\r\n{added}")
        _, answer = await room.control.offer("bob_1", offer)
        assert re.search(r"m=audio \d+ \S+ 63 96\r\n", answer)
        assert "a=rtpmap:63 red/48000/2\r\na=fmtp:63 96/96\r\n" in answer.replace("a=rtcp-fb:63 transport-cc\r\n", "")
        assert "a=rtcp-fb:96 transport-cc" in answer
        assert "goog-remb" not in answer
        await sending.close()

    play(tmp_path / "room", scene)

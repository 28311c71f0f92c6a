"""A room is mixed while it is recorded: whatever is killed, the job goes on, and all is told once and in order."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from owtmix.recorder.finish_options import FINISH_FILE, FinishOptions
from owtmix.recorder.job_file import job_text
from owtmix.service import mixer, mixing
from owtmix.service.jobs import Job
from owtmix.service.live_processes import start_mixer, strays
from tests.recorder.senders import Sender, write_journals
from tests.service.mixed_rooms import COMMANDS, PATIENCE_S, MixedRooms, hosted, kill, until

Host = Callable[[Callable[[MixedRooms], Coroutine[Any, Any, None]]], None]
ENDED: Final = ["mixer_file_infos", "upload_status", "mixer_status_update"]
RESTARTED: Final = ["mixer_warning", "mixer_session_failover"]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Has a service do something."""
    return lambda hold: hosted(tmp_path, monkeypatch, hold, is_whole=False)


def test_a_room_is_mixed_and_uploaded_before_its_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hold(rooms: MixedRooms) -> None:
        job = await rooms.begin(RecordingConfig=rooms.recording())
        write_journals(Sender("alice_1", marks_ms=(1000,), length_ms=2000), rooms.folder(job) / "journals", "s0")
        rooms.room.joined("alice_1.s0", "bob_1.s1")
        await rooms.mixes(job)
        await told_of(rooms, "mixer_stream_update", 2)
        found = await rooms.job(job)
        await until(lambda: rooms.recordings.progress(found)["Mix"]["chunks"], "the mixer is looked at")
        progress = (await rooms.act("job.query", job))["Mix"]
        assert (progress["done_s"], progress["behind_s"]) == (2.0 * progress["chunks"], 2.0)
        await rooms.act("job.stop", job)
        done = await rooms.ends(job)
        assert (done.state, done.reason, done.restarts) == ("ended", "", 0)
        assert done.result["mix"] == [str(rooms.store / "mixes" / "r1.mp4")]
        assert {path.name for path in (rooms.store / "mixes").iterdir()} == {"r1.mp4", "r1"}
        beside = {path.name for path in (rooms.store / "mixes" / "r1").iterdir()}
        assert beside == {"alice_1-s0.webm", *(f"{job}.{kind}" for kind in ("json", "cfg.json", "updates.jsonl"))}
        joined, left = ["mixer_stream_update"] * 2, ["mixer_stream_update"] * 2
        assert await rooms.told() == ["mixer_status_update", *joined, *left, *ENDED]
        told = [data for _, data in await rooms.callbacks()]
        assert (told[0]["Status"], told[-1]["Status"]) == (1, 2)
        assert [(one["StreamUid"], one["Status"]) for one in told[1:5]] == [
            ("alice_1", "open"), ("bob_1", "open"), ("alice_1", "close"), ("bob_1", "close"),
        ]  # fmt: skip
        assert told[-3]["FileList"] == told[-2]["FileList"] == done.result["mix"]
        assert not (rooms.live(job)).exists()

    hosted(tmp_path, monkeypatch, hold, is_whole=True)


def test_a_change_reaches_the_mixer_at_once(host: Host) -> None:
    async def hold(rooms: MixedRooms) -> None:
        job = await rooms.begin(RecordingConfig=rooms.recording(), MixerConfig={"Gap": 8})
        await rooms.mixes(job)
        options = FinishOptions.from_json((rooms.folder(job) / FINISH_FILE).read_bytes())
        assert (options.mix, options.prefix) == ("mixes/$RoomId.mp4", "mixes/$RoomId")
        composed = json.loads(job_text(options, {"Vendor": "local", "Bucket": "."}, "index.json", "out"))
        assert composed["Data"]["MixerConfig"] == {"Gap": 8}
        assert composed["Data"]["RecordingConfig"]["FileType"] == ["mp4"]
        changes = [
            ("job.mixer.update", {"MixerConfig": {"MixedVideoLayout": 2}}),
            ("job.subscribe.update", {"SubscribeConfig": {"MaxSubscriptions": 4}}),
            ("job.stream.update", {"StreamConfig": [{"RtcStreamId": "a_1", "MuteVideo": True}]}),
            ("job.transcoding.update", {"TranscodingConfig": {"Video": {"BitRate": 700}}}),
            ("job.update", {"MixerConfig": {"Gap": 2}}),
        ]
        for number, (action, data) in enumerate(changes, 1):
            await rooms.act(action, job, data)
            await until(partial(is_last, rooms, job, number), f"{action} counts")
        lines = [json.loads(line) for line in (rooms.folder(job) / "updates.jsonl").read_text().splitlines()]
        assert [(line["Action"], line["Data"]) for line in lines] == changes
        assert [line["At"] for line in lines] == sorted(line["At"] for line in lines)

    host(hold)


def test_a_file_is_uploaded_while_the_room_goes_on_and_told_once(host: Host) -> None:
    async def hold(rooms: MixedRooms) -> None:
        job = await rooms.begin(RecordingConfig=rooms.recording())
        await rooms.mixes(job)
        await rooms.act("job.record.stop", job)

        def recorded() -> tuple[tuple[int, bool], ...]:
            return FinishOptions.from_json((rooms.folder(job) / FINISH_FILE).read_bytes()).recorded

        await until(lambda: len(recorded()) == 2, "the mixer is told")
        (_, begun), (since_ms, stopped) = recorded()
        assert (begun, stopped) == (True, False)
        assert since_ms > 0
        (rooms.live(job) / "first.mp4").write_bytes(b"the first file")
        (rooms.live(job) / "mixer.json").write_text(json.dumps({"files": ["live/first.mp4"]}))
        await told_of(rooms, "mixer_file_infos", 1)
        assert (rooms.store / "mixes" / "r1.mp4").read_bytes() == b"the first file"
        await rooms.act("job.stop", job)
        await rooms.ends(job)
        files = [data["FileList"] for event, data in await rooms.callbacks() if event == "mixer_file_infos"]
        assert [[Path(name).name for name in names] for names in files] == [["r1.mp4"], ["r1-2.mp4"]]

    host(hold)


def is_last(rooms: MixedRooms, job: str, number: int) -> bool:
    """Whether the last chunk was made with so many updates."""
    return chunk_updates(rooms, job)[-1] == number


def is_behind(rooms: MixedRooms, job: Job, behind_s: float) -> bool:
    return bool(rooms.recordings.progress(job)["Mix"]["behind_s"] == behind_s)


def has_started(rooms: MixedRooms, job: str, number: int) -> bool:
    """Whether so many mixers were started."""
    return len(rooms.starts(job)) == number


def chunk_updates(rooms: MixedRooms, job: str) -> list[int]:
    """How many updates each chunk was made with."""
    return [0, *map(int, (rooms.live(job) / "chunks").read_text().split())]


def test_a_killed_mixer_goes_on(host: Host) -> None:
    async def hold(rooms: MixedRooms) -> None:
        job = await rooms.begin(RecordingConfig=rooms.recording())
        for number in range(2):
            await rooms.mixes(job)
            kill(rooms.starts(job)[-1])
            await until(partial(has_started, rooms, job, number + 2), "another mixer")
            await told_of(rooms, "mixer_session_failover", number + 1)
        await rooms.mixes(job)
        before = rooms.chunks(job)
        await rooms.act("job.stop", job)
        done = await rooms.ends(job)
        assert await rooms.told() == ["mixer_status_update", *RESTARTED * 2, *ENDED]
        assert (done.restarts, rooms.restarts) == (2, 2)
        assert len((rooms.store / "mixes" / "r1.mp4").read_text().splitlines()) >= before
        warned = [data for event, data in await rooms.callbacks() if event == "mixer_warning"]
        assert {data["WarnCode"] for data in warned} == {1}

    host(hold)


def test_a_service_that_comes_back_goes_on_with_the_mixer(host: Host) -> None:
    async def hold(rooms: MixedRooms) -> None:
        job = await rooms.begin(RecordingConfig=rooms.recording())
        rooms.room.joined("alice_1.s0")
        await rooms.mixes(job)
        await told_of(rooms, "mixer_stream_update", 1)
        await rooms.die()
        await rooms.mixes(job)
        await rooms.start_again()
        await rooms.act("job.mixer.update", job, {"MixerConfig": {"Gap": 2}})
        await until(partial(is_last, rooms, job, 1), "the update counts")
        await rooms.act("job.stop", job)
        await rooms.ends(job)
        assert len(set(rooms.starts(job))) <= 1
        assert await rooms.told() == ["mixer_status_update", *["mixer_stream_update"] * 2, *ENDED]

    host(hold)


def test_a_service_that_comes_back_begins_a_mixer_that_is_gone(host: Host) -> None:
    async def hold(rooms: MixedRooms) -> None:
        job = await rooms.begin(RecordingConfig=rooms.recording())
        await rooms.mixes(job)
        await rooms.die()
        rooms.room.runs = False
        kill(rooms.starts(job)[0])
        await rooms.start_again()
        await until(partial(has_started, rooms, job, 2), "another mixer")
        await rooms.mixes(job)
        await told_of(rooms, "mixer_session_failover", 2)  # of the room, too
        await rooms.act("job.stop", job)
        await rooms.ends(job)
        assert await rooms.told("mixer_file", "upload") == ENDED[:2]

    host(hold)


@pytest.mark.parametrize("dies", ["the mixer", "the service", "both"])
def test_killed_while_the_rest_is_composed(host: Host, dies: str) -> None:
    async def hold(rooms: MixedRooms) -> None:
        job = await rooms.begin({"hangs_at_end": True}, RecordingConfig=rooms.recording())
        await rooms.mixes(job)
        await rooms.act("job.stop", job)
        await until((rooms.live(job) / "stop").exists, "the mixer is told to stop")
        await asyncio.sleep(0.3)
        (rooms.folder(job) / "mixer.json").write_text("{}")
        if dies != "the mixer":
            await rooms.die()
        if dies != "the service":
            kill(rooms.starts(job)[-1])
        if dies != "the mixer":
            await rooms.start_again()
        if dies == "the service":
            await asyncio.sleep(0.3)
            kill(rooms.starts(job)[-1])
        done = await rooms.ends(job)
        assert done.state == "ended"
        assert await rooms.told() == ["mixer_status_update", *RESTARTED, *ENDED]

    host(hold)


def test_killed_after_the_mix_was_uploaded(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is told twice."""

    async def hold(rooms: MixedRooms) -> None:
        job = await rooms.begin(RecordingConfig=rooms.recording())
        await rooms.mixes(job)
        waiting = asyncio.Event()

        async def wait(*_: Any) -> None:
            waiting.set()
            await asyncio.sleep(600)

        with monkeypatch.context() as patched:
            patched.setattr("owtmix.service.recording.finish_room", wait)
            await rooms.act("job.stop", job)
            await waiting.wait()
            await rooms.die()
        await rooms.start_again()
        done = await rooms.ends(job)
        assert done.result["mix"]
        assert await rooms.told() == ["mixer_status_update", *ENDED]

    host(hold)


def test_a_mixer_that_cannot_work_loses_no_recording(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixer, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(mixer, "_LONGEST_PAUSE_S", 0.02)

    async def hold(rooms: MixedRooms) -> None:
        job = await rooms.begin({"fails": True}, RecordingConfig=rooms.recording())
        write_journals(Sender("alice_1", marks_ms=(1000,), length_ms=2000), rooms.folder(job) / "journals", "s0")
        await told_of(rooms, "mixer_error", 1)
        await rooms.act("job.stop", job)
        done = await rooms.ends(job)
        assert (done.state, "the mix could not be made" in done.reason) == ("ended", True)
        assert "alice_1-s0.webm" in {path.name for path in (rooms.store / "mixes" / "r1").iterdir()}
        assert await rooms.told() == ["mixer_status_update", "mixer_error", "mixer_error", "mixer_status_update"]
        assert (await rooms.callbacks())[-1][1]["Status"] == 3

    host(hold)


def test_a_machine_that_starts_no_mixer_now_starts_one_later(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is given up, however often it fails."""
    start, failures = start_mixer, 2 * mixer.MOST_ATTEMPTS

    async def short(*of: Any) -> asyncio.subprocess.Process:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise OSError(errno.EAGAIN, "no more processes")
        return await start(*of)

    monkeypatch.setattr(mixer, "start_mixer", short)
    monkeypatch.setattr(mixing, "_LONGEST_PAUSE_S", 0.02)

    async def hold(rooms: MixedRooms) -> None:
        job = await rooms.begin(RecordingConfig=rooms.recording())
        await rooms.act("job.stop", job)
        assert (await rooms.ends(job)).result["mix"]
        assert await rooms.told() == ["mixer_status_update", *ENDED]

    host(hold)


def test_a_mix_that_cannot_be_uploaded_is_kept(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixing, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(mixing, "MOST_ATTEMPTS", 2)

    async def hold(rooms: MixedRooms) -> None:
        job = await rooms.begin(RecordingConfig=rooms.recording())
        await rooms.mixes(job)
        rooms.store.write_text("no folder")
        await rooms.act("job.stop", job)
        done = await rooms.ends(job)
        assert (done.state, "the mix cannot be uploaded" in done.reason) == ("interrupted", True)
        assert (rooms.live(job) / "mix.mp4").exists()
        rooms.store.unlink()
        await rooms.die()
        await rooms.start_again()
        assert (await rooms.ends(job)).state == "ended"
        failed = ["upload_status", "mixer_error", "mixer_status_update"]
        assert await rooms.told() == ["mixer_status_update", *failed, *ENDED]

    host(hold)


def test_nobody_came(host: Host) -> None:
    async def hold(rooms: MixedRooms) -> None:
        job = await rooms.begin({"nobody": True}, RecordingConfig=rooms.recording())
        await rooms.mixes(job)
        await rooms.act("job.stop", job)
        done = await rooms.ends(job)
        assert (done.state, done.reason) == ("ended", "nothing was recorded")
        assert await rooms.told() == ["mixer_status_update"] * 2
        assert not rooms.store.exists()

    host(hold)


def test_warnings_are_told_once_and_without_paths(host: Host) -> None:
    async def hold(rooms: MixedRooms) -> None:
        job = await rooms.begin(RecordingConfig=rooms.recording())
        texts = ["a.journal is damaged", f"{rooms.folder(job)}/journals/b is left out"]
        await rooms.mixes(job)
        rooms.say(job, warnings=texts[:1])
        await told_of(rooms, "mixer_warning", 1)
        rooms.say(job, warnings=texts)
        await told_of(rooms, "mixer_warning", 2)
        await rooms.die()
        await rooms.start_again()
        await rooms.mixes(job, 10)
        await asyncio.sleep(0.6)
        warned = [data for event, data in await rooms.callbacks() if event == "mixer_warning"]
        assert [data["WarnMsg"] for data in warned] == ["a.journal is damaged", "journals/b is left out"]
        assert {data["WarnCode"] for data in warned} == {107}

    host(hold)


def test_a_mix_that_falls_behind_is_told_and_again_when_it_has_caught_up(host: Host) -> None:
    async def hold(rooms: MixedRooms) -> None:
        job = await rooms.begin(RecordingConfig=rooms.recording())
        await rooms.mixes(job)
        found = await rooms.job(job)
        for behind_s, number in ((9.0, 0), (11.0, 1), (7.0, 1), (4.0, 2), (9.0, 2), (12.0, 3)):
            rooms.say(job, behind_s=behind_s)
            await until(partial(is_behind, rooms, found, behind_s), "it is looked at")
            await asyncio.sleep(0.1)
            await told_of(rooms, "mixer_warning", number)
        warned = [data["WarnMsg"] for event, data in await rooms.callbacks() if event == "mixer_warning"]
        behind, caught_up = "the mix is behind live", "the mix has caught up with live"
        assert warned == [behind, caught_up, behind]

    host(hold)


def test_a_mixer_that_tells_nothing_falls_behind(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixer, "_FRESH_S", 0.3)
    monkeypatch.setattr(mixing, "BEHIND_S", 2.5)
    monkeypatch.setattr(mixing, "CAUGHT_UP_S", 2.2)
    monkeypatch.setattr(mixer, "_SILENT_S", 3.0)

    async def hold(rooms: MixedRooms) -> None:
        job = await rooms.begin({"hangs_at_end": True}, RecordingConfig=rooms.recording())
        await rooms.mixes(job)
        found = await rooms.job(job)
        (rooms.live(job) / "stop").touch()
        await until((rooms.live(job) / "hangs").exists, "it hangs")
        await until(lambda: rooms.recordings.progress(found)["Mix"]["behind_s"] > mixing.BEHIND_S, "it falls behind")
        warned: list[str] = []
        async with asyncio.timeout(PATIENCE_S):
            while warned[-1:] != ["the mix is behind live"]:
                await asyncio.sleep(0.05)
                warned = [data["WarnMsg"] for event, data in await rooms.callbacks() if event == "mixer_warning"]
        (rooms.live(job) / "stop").unlink()
        await until(partial(has_started, rooms, job, 2), "it is killed, and begun anew")
        await rooms.act("job.stop", job)

    host(hold)


def test_a_room_that_is_only_pushed_leaves_nothing(host: Host) -> None:
    async def hold(rooms: MixedRooms) -> None:
        job = await rooms.begin(LiveConfig={"Type": "rtmp", "Url": "rtmp://h/app/taken-key"})
        write_journals(Sender("alice_1", marks_ms=(1000,), length_ms=2000), rooms.folder(job) / "journals", "s0")
        await rooms.mixes(job)
        await until(lambda: rooms.room.told == [3], "the room is recorded for it")
        await rooms.act("job.stop", job)
        done = await rooms.ends(job)
        assert (done.state, done.reason) == ("ended", "")
        assert await rooms.told("mixer", "upload") == ["mixer_status_update"] * 2
        assert not rooms.store.exists()
        assert {path.name for path in rooms.folder(job).iterdir()}.isdisjoint({"live", "journals", "recordings"})

    host(hold)


TARGETS: Final = ("taken", "refused", "slow", "again")


def test_targets_are_told_of(host: Host) -> None:
    async def hold(rooms: MixedRooms) -> None:
        urls = [f"rtmp://h/app/{what}-secret" for what in TARGETS]
        job = await rooms.begin(
            RecordingConfig=rooms.recording(), LiveConfig=[{"Type": "rtmp", "Url": url} for url in urls]
        )
        await told_of(rooms, "living", 7)
        pushes = (await rooms.act("job.query", job))["Pushes"]
        assert {push["state"] for push in pushes} == {"living", "refused", "slow"}
        page = json.dumps(pushes)
        assert "secret" not in page
        assert "rtmp://h/app/*** is not wanted" in page
        await rooms.act("job.stop", job)
        await rooms.ends(job)
        living = [(event, data) for event, data in await rooms.callbacks() if event.startswith("living")]
        assert "secret" not in json.dumps(living)
        counted = sorted((event, data.get("Status") or data.get("WarnCode") or 0) for event, data in living)
        assert counted == sorted([
            *[("living_status_update", 1)] * 4, ("living_warning", 108), ("living_warning", 109), ("living_error", 0),
            *[("living_status_update", 2)] * 4,
        ])  # fmt: skip
        assert (await rooms.told())[-1] == "mixer_status_update"
        logs = "".join(path.read_text() for path in rooms.folder(job).glob("*") if path.is_file())
        assert "secret" not in logs
        assert strays(COMMANDS.pushing(rooms.folder(job))) == []

    host(hold)


def test_targets_come_and_go(host: Host) -> None:
    async def hold(rooms: MixedRooms) -> None:
        job = await rooms.begin(RecordingConfig=rooms.recording())
        for what in ("stays", "taken"):
            await rooms.act("job.live.start", job, {"LiveConfig": {"Type": "rtmp", "Url": f"rtmp://h/app/{what}-1"}})
        await told_of(rooms, "living_status_update", 2)
        await rooms.act("job.live.stop", job, {"LiveConfig": {"Url": "rtmp://h/app/taken-1"}})
        await told_of(rooms, "living_status_update", 3)
        assert len(strays(COMMANDS.pushing(rooms.folder(job)))) == 1
        await rooms.act("job.live.stop", job)
        await told_of(rooms, "living_status_update", 4)
        assert strays(COMMANDS.pushing(rooms.folder(job))) == []
        assert (await rooms.act("job.query", job))["Pushes"] == []

    host(hold)


def test_a_killed_pusher_is_begun_anew(host: Host) -> None:
    async def hold(rooms: MixedRooms) -> None:
        job = await rooms.begin(LiveConfig={"Type": "rtmp", "Url": "rtmp://h/app/taken-1"})
        await told_of(rooms, "living_status_update", 1)
        (pid,) = strays(COMMANDS.pushing(rooms.folder(job)))
        kill(pid)
        await told_of(rooms, "living", 3)
        assert await rooms.told("living") == ["living_status_update", "living_warning", "living_status_update"]
        assert await rooms.told("mixer") == ["mixer_status_update"]

    host(hold)


def test_a_service_that_comes_back_ends_the_pushers_of_the_one_before(host: Host) -> None:
    async def hold(rooms: MixedRooms) -> None:
        job = await rooms.begin(LiveConfig={"Type": "rtmp", "Url": "rtmp://h/app/taken-1"})
        await told_of(rooms, "living_status_update", 1)
        await rooms.die()
        left = await asyncio.create_subprocess_exec(
            *COMMANDS.pushing(rooms.folder(job)), stdin=asyncio.subprocess.PIPE, start_new_session=True
        )
        await until(partial(strays, COMMANDS.pushing(rooms.folder(job))), "it has begun")
        await rooms.start_again()
        assert await left.wait() == -9
        await told_of(rooms, "living_status_update", 2)
        assert len(strays(COMMANDS.pushing(rooms.folder(job)))) == 1

    host(hold)


async def told_of(rooms: MixedRooms, kind: str, number: int) -> None:
    """Wait until there are so many events of a kind."""
    for _ in range(3000):
        if len(await rooms.told(kind)) >= number:
            break
        await asyncio.sleep(0.02)
    assert len(await rooms.told(kind)) == number, await rooms.told()

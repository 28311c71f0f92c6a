"""Rooms that are mixed live by a service in this process, with a room, a mixer and pushers that only seem to work."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from owtmix.base.errors import MixError
from owtmix.base.standard_output import failure
from owtmix.jobfile.settings import ServiceSettings, Settings
from owtmix.recorder.control import RoomControl
from owtmix.recorder.finish import finish, finish_mix
from owtmix.recorder.room_folder import RoomFolder
from owtmix.service import jobs
from owtmix.service.control import Control
from owtmix.service.database import Database
from owtmix.service.finishing import Site
from owtmix.service.jobs import Job
from owtmix.service.live_processes import LiveCommands, strays
from owtmix.service.processes import Finished
from owtmix.service.recordings import Recordings
from owtmix.service.tokens import TokenCheck
from tests.recorder.finishing import do_here

HERE: Final = Path(__file__).parent
COMMANDS: Final = LiveCommands(
    (sys.executable, str(HERE / "fake_mixer.py")), (sys.executable, str(HERE / "fake_pusher.py"))
)
URL: Final = "http://127.0.0.1:1/"
SERVICES: Final = ("job.mixer", "job.oss", "job.living", "job.record")
PATIENCE_S: Final = 60.0
"""Far longer than anything that is waited for takes, on a busy machine too."""


class Room:
    """Stands for the process of a room, and for the connections to it."""

    def __init__(self) -> None:
        self.sessions: list[dict[str, Any]] = []
        self.runs = False
        self.told: list[int] = []

    def joined(self, *sessions: str) -> None:
        """Those sessions are received now; the stream of one is the part before its point."""
        self.sessions = [
            {
                "session": name,
                "stream": name.partition(".")[0],
                "began_us": 1_000_000,
                "last_us": 2_000_000,
                "tracks": [{"recorded": True}],
            }
            for name in sessions
        ]

    async def open(self, _: Path) -> Room:
        self.runs = True
        return self

    async def connect(self, _: Path, *, within_s: float = 0.0) -> Room:
        if not self.runs:
            raise ConnectionRefusedError(f"no process within {within_s} s")
        return self

    async def status(self) -> dict[str, Any]:
        if not self.runs:
            raise ConnectionError("the process of the room is gone")
        now_us = time.time_ns() // 1000
        return {"sessions": [one | {"last_us": now_us} for one in self.sessions], "ended": []}

    async def update(self, *, media_channel: int, subscribe: Any) -> None:
        assert subscribe is not None
        self.told.append(media_channel)

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        await asyncio.sleep(600)
        yield {}

    async def stop(self) -> None:
        self.runs = False

    async def close(self) -> None:
        pass


class MixedRooms:
    """A service whose state is in ``root``; mixes go to ``root/store``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = root / "store"
        self.room = Room()
        self.restarts = 0
        self.database = Database(root / "service.db")
        self._start()

    def _start(self) -> None:
        site = Site(
            self.database,
            self.root,
            ServiceSettings(),
            lambda: None,
            self._restarted,
            lambda: time.time_ns() // 1000,
            asyncio.Semaphore(1),
            live=COMMANDS,
        )
        self.recordings = Recordings(site)
        self.control = Control(
            self.database, TokenCheck({}, 60, 60), self.recordings, 20, lambda _: None, site.now_us, 4
        )

    def _restarted(self) -> None:
        self.restarts += 1

    async def die(self) -> None:
        """End as by SIGKILL: nothing is finished, and nobody told."""
        await self.recordings.abandon()

    async def start_again(self) -> None:
        self._start()
        await self.recordings.resume()

    async def act(self, action: str, job: str = "", data: Any = None, code: int = 0, **internal: Any) -> dict[str, Any]:
        body = {"Action": action, "Internal": {"JobId": job} | internal, "Data": data or {}}
        answered = await self.control.answer(json.dumps(body).encode())
        answer: dict[str, Any] = json.loads(answered.body)
        assert answer["RetCode"] == code, answer
        return dict(answer["Data"])

    async def begin(self, told: dict[str, Any] | None = None, **data: Any) -> str:
        """Begin a job, whose mixer is ``told`` what to do; ``data`` has more sections."""
        acquired = await self.act("job.acquire", AppId="app", RoomId="r1", Mode=1, ChannelType=0)
        job = str(acquired["JobId"])
        folder = self.folder(job)
        folder.mkdir(parents=True)
        (folder / "mixer.json").write_text(json.dumps(told or {}))
        receivers = [{"Status": "open", "ServiceType": name, "NotifyUrl": f"{URL}{name}"} for name in SERVICES]
        await self.act("job.start", job, {"NotifyConfig": receivers} | data)
        return job

    def recording(self) -> dict[str, Any]:
        """A ``RecordingConfig``."""
        store = {"Vendor": "local", "Bucket": str(self.store), "FileNamePrefix": "mixes/$RoomId.mp4"}
        return {"MediaChannel": 3, "FileType": ["mp4"], "StorageConfig": store}

    def folder(self, job: str) -> Path:
        return self.root / "rooms" / job

    def live(self, job: str) -> Path:
        return self.folder(job) / "live"

    def chunks(self, job: str) -> int:
        with suppress(OSError):
            return len((self.live(job) / "chunks").read_text().splitlines())
        return 0

    def starts(self, job: str) -> list[int]:
        """The mixers that were started."""
        with suppress(OSError):
            return [*map(int, (self.live(job) / "starts").read_text().split())]
        return []

    def say(self, job: str, **told: Any) -> None:
        """Have the mixer do something else from now on."""
        new = self.live(job) / "mixer.new"
        new.write_text(json.dumps(told))
        new.replace(self.live(job) / "mixer.json")

    async def mixes(self, job: str, more: int = 3) -> None:
        """Wait until some more chunks are made."""
        wanted = self.chunks(job) + more
        await until(lambda: self.chunks(job) >= wanted, "more chunks")

    async def job(self, job: str) -> Job:
        return await self.database.run(lambda c: jobs.find(c, job))

    async def ends(self, job: str) -> Job:
        until_s = time.monotonic() + PATIENCE_S
        while (found := await self.job(job)).is_live:
            assert time.monotonic() < until_s, "the job ends"
            await asyncio.sleep(0.05)
        return found

    async def callbacks(self) -> list[tuple[str, dict[str, Any]]]:
        """What receivers are told, in order."""
        rows = await self.database.run(lambda c: c.execute("SELECT event, body FROM callback ORDER BY n").fetchall())
        return [(row["event"].removeprefix("ucloud_"), json.loads(row["body"])["Data"]) for row in rows]

    async def told(self, *kinds: str) -> list[str]:
        """The events in order, without ``ucloud_``; only those of ``kinds``, if any."""
        return [event for event, _ in await self.callbacks() if not kinds or event.startswith(kinds)]


async def finish_here(
    folder: Path, _: bytes, *, session: str = "", upload: bool = False, mix: bool = False
) -> Finished:
    """Finish a room without a process of its own."""

    def work() -> Finished:
        room = RoomFolder(folder)
        try:
            if mix:
                return Finished(0, finish_mix(room, Settings(), {}))
            return Finished(0, finish(room, Settings(), session or None, dict if upload else None, do_here))
        except MixError as error:
            return Finished(error.exit_status, failure(error))

    return await asyncio.to_thread(work)


def hosted(root: Path, monkeypatch: pytest.MonkeyPatch, hold: Callable[[MixedRooms], Any], *, is_whole: bool) -> None:
    """Have a service do ``hold``, and leave nothing of it. Only one that ``is_whole`` finishes in processes."""
    for module in ("finishing", "mixing") if not is_whole else ():
        monkeypatch.setattr(f"owtmix.service.{module}.finish", finish_here)

    async def run() -> None:
        rooms = MixedRooms(root)
        monkeypatch.setattr("owtmix.service.recording.open_room", rooms.room.open)
        monkeypatch.setattr(RoomControl, "connect", rooms.room.connect)
        try:
            await asyncio.wait_for(hold(rooms), 2 * PATIENCE_S)
        finally:
            await rooms.recordings.abandon()
            for job in (root / "rooms").glob("*"):
                for pid in [*strays(COMMANDS.mixing(job)), *strays(COMMANDS.pushing(job))]:
                    kill(pid)
            rooms.database.close()

    asyncio.run(run())


async def until(holds: Callable[[], object], what: str) -> None:
    """Wait until ``holds`` gives something true."""
    until_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until_s, f"not within {PATIENCE_S:g} s: {what}"
        await asyncio.sleep(0.02)


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)

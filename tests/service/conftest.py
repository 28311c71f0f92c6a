"""The service without rooms: its database and its web application, in this process, with a recorder that only notes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

from owtmix.base.ids import StreamId
from owtmix.jobfile.settings import ServiceSettings, Settings
from owtmix.service.app import Service
from owtmix.service.control import Control
from owtmix.service.database import Database
from owtmix.service.jobs import Job
from owtmix.service.metrics import Metrics
from owtmix.service.publishing import OfferRefusedError
from owtmix.service.rtmp import Rtmp
from owtmix.service.store_check import store_check
from owtmix.service.tokens import TokenCheck
from owtmix.service.whip import Whip

NOW_US = 1_795_000_000_000_000
KEY = SecretStr("the key of app1")


@dataclass
class NotedRecorder:
    """Notes what it is asked; records nothing."""

    asked: list[tuple[str, str]] = field(default_factory=list)
    full: str = ""
    disk_full: str = ""
    sessions: list[dict[str, Any]] = field(default_factory=list)
    mix: dict[str, Any] = field(default_factory=dict)
    offers: list[tuple[str, str, str, str]] = field(default_factory=list)
    fetched: list[tuple[str, str, str, str]] = field(default_factory=list)

    def begin(self, job: Job) -> None:
        self.asked.append(("begin", job.id))

    def change(self, job: Job) -> None:
        self.asked.append(("change", job.id))

    def end(self, job: Job) -> None:
        self.asked.append(("end", job.id))

    def streams(self, _: Job) -> list[dict[str, Any]]:
        return self.sessions

    def progress(self, _: Job) -> dict[str, Any]:
        return self.mix

    def why_full(self) -> str:
        return self.full

    def why_disk_full(self) -> str:
        return self.disk_full

    async def offer(self, app: str, room: str, stream: StreamId, sdp: str) -> tuple[str, str]:
        if room == "closed":
            raise OfferRefusedError(404, "nobody records this room now")
        self.offers.append((app, room, str(stream), sdp))
        return "abc123", "v=0 the answer"

    async def fetch(self, app: str, room: str, stream: StreamId, name: str) -> None:
        if room == "closed":
            raise OfferRefusedError(404, "nobody records this room now")
        self.fetched.append((app, room, str(stream), name))

    async def leave(self, app: str, room: str, _: StreamId, session: str) -> None:
        if session != "abc123":
            raise OfferRefusedError(404, "there is no such session")
        self.asked.append(("leave", f"{app}/{room}/{session}"))


@dataclass
class Rig:
    """A service, its recorder, and a client of it; ``now_us`` is its clock."""

    database: Database
    recorder: NotedRecorder
    control: Control
    app: Starlette
    now_us: int = NOW_US

    def run(self, work: Any) -> Any:
        return asyncio.run(self.database.run(work))

    def post(self, document: Any) -> dict[str, Any]:
        """The answer to a request, which is sent as it is when it is bytes."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return dict(json.loads(asyncio.run(self.control.answer(body)).body))

    def act(self, action: str, job: str = "", data: Any = None, **internal: Any) -> dict[str, Any]:
        internal = ({"JobId": job} if job else {}) | internal
        return self.post({"Version": "1.0", "Action": action, "Internal": internal, "Data": data or {}})

    def acquired(self, room: str = "r1", request: str = "0", app: str = "app1", mode: int = 0) -> str:
        answer = self.act("job.acquire", AppId=app, RoomId=room, Mode=mode, ChannelType=0, RequestId=request)
        assert answer["RetCode"] == 0, answer
        return str(answer["Data"]["JobId"])

    def started(self, room: str = "r1", data: Any = None) -> str:
        job = self.acquired(room)
        answer = self.act("job.start", job, START if data is None else data)
        assert answer["RetCode"] == 0, answer
        return job

    @asynccontextmanager
    async def client(self, address: str = "127.0.0.1") -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(self.app, client=(address, 4000))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            yield client

    def get(self, path: str, address: str = "127.0.0.1") -> httpx.Response:
        async def ask() -> httpx.Response:
            async with self.client(address) as client:
                return await client.get(path)

        return asyncio.run(ask())


STORE = {"Vendor": "ucloud", "PublicKey": "pub-1", "SecretKey": "sec-1", "Region": "cn-bj", "Bucket": "lessons"}
START: Final[dict[str, Any]] = {
    "JobConfig": {"IdleTime": 60},
    "NotifyConfig": [
        {"Status": "open", "ServiceType": "job.record", "NotifyUrl": "http://127.0.0.1:1/cb?t=1", "Token": "tok-1"}
    ],
    "TranscodingConfig": {"Video": {"Width": 640, "Height": 360, "Fps": 15, "BitRate": 500}},
    "RecordingConfig": {"MediaChannel": 3, "FileType": ["mp4", "webm"], "StorageConfig": STORE},
}


def made_rig(folder: Path, apps: dict[str, SecretStr], settings: ServiceSettings) -> Rig:
    recorder = NotedRecorder()
    database = Database(folder / "service.db")
    tokens = TokenCheck(apps, settings.token_lifetime_s, settings.token_skew_s)
    control = Control(database, tokens, recorder, settings.max_jobs, store_check(Settings()), lambda: made.now_us)
    whip, rtmp = Whip(recorder, tokens), Rtmp(recorder, tokens)
    service = Service(database, control, recorder, Metrics(), whip, rtmp, folder, settings.operators)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield

    made = Rig(database, recorder, control, service.app(lifespan))
    return made


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A service that takes every token."""
    made = made_rig(tmp_path, {}, ServiceSettings(max_jobs=5))
    yield made
    made.database.close()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Rig]:
    """A service of one app, ``app1``, whose tokens are checked."""
    made = made_rig(tmp_path, {"app1": KEY}, ServiceSettings())
    yield made
    made.database.close()

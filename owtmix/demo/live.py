"""``python -m owtmix.demo.live [FOLDER]``: mixes a live room of two synthetic participants, and composes it again.

It starts the service, which records into FOLDER and mixes, has both participants send by WHIP, changes the layout
half-way, saves a picture of what a server of RTMP receives, and has ``owt-main`` compose what was recorded. Needs the
extra ``service``, and nothing but loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urljoin

import httpx

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from owtmix.demo.publisher import Publisher, VideoCodec

SECONDS: Final = 30.0
APP: Final = "demo"
ROOM: Final = "live-room"

_PATIENCE_S: Final = 120.0
_RETRY_S: Final = 0.2
_NAMES: Final = {"alice": "Alice", "bob": "Bob"}


class LiveDemoError(Exception):
    """The demo cannot go on; the message says why."""


class Caller:
    """Asks the service at ``address``."""

    def __init__(self, address: str, http: httpx.AsyncClient) -> None:
        self._url = f"http://{address}"
        self._http = http

    async def ask(self, action: str, internal: dict[str, Any], data: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer to a request.

        Raises:
            LiveDemoError: it is refused.
        """
        request = {"Version": "1.0", "Action": action, "Internal": internal, "Data": data or {}}
        answer: dict[str, Any] = (await self._http.post(self._url, content=json.dumps(request))).json()
        if answer["RetCode"]:
            raise LiveDemoError(f"{action}: {answer['Message']}")
        return answer

    async def publish(self, publisher: Publisher, stream: str) -> str:
        """Send what ``publisher`` has as ``stream``; returns the address of the session."""
        place = urljoin(self._url, f"/whip/{APP}/{ROOM}/{stream}")
        session = ""

        async def exchange(offer: str) -> str:
            nonlocal session
            until_s = time.monotonic() + _PATIENCE_S
            while True:
                answer = await self._http.post(place, content=offer, headers={"content-type": "application/sdp"})
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > until_s:
                    break
                await asyncio.sleep(_RETRY_S)
            if answer.status_code != httpx.codes.CREATED:
                raise LiveDemoError(f"{stream} is not received: {answer.text.strip()}")
            session = urljoin(place, answer.headers["location"])
            return answer.text

        await publisher.connect(exchange)
        return session

    async def leave(self, session: str) -> None:
        """End a session."""
        await self._http.delete(session)

    async def wait_for_end(self, job: dict[str, Any]) -> None:
        """Wait until a job has ended.

        Raises:
            LiveDemoError: it does not end.
        """
        until_s = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until_s:
            try:
                await self.ask("job.query", job)
            except LiveDemoError:
                return
            await asyncio.sleep(_RETRY_S)
        raise LiveDemoError(f"the job does not end within {_PATIENCE_S:g} s")


async def hold(address: str, store: Path, seconds: float, viewer: Viewer) -> str:
    """Hold a live room for so long, which is mixed and recorded into ``store``; returns the id of its job.

    ``viewer`` saves what it sees when the layout has changed.

    Raises:
        LiveDemoError: something is refused.
    """
    from owtmix.demo.publisher import Beep, Flash, Publisher  # noqa: PLC0415 - only the extra has what it needs
    from owtmix.recorder.rtp.ice import IceSettings  # noqa: PLC0415
    from owtmix.recorder.rtp.install import use_addresses  # noqa: PLC0415

    use_addresses(IceSettings(("127.0.0.1",)))
    people: dict[str, tuple[VideoCodec, int, int]] = {"alice_1": ("VP8", 1000, 70), "bob_1": ("H264", 700, 110)}
    async with httpx.AsyncClient(timeout=_PATIENCE_S, trust_env=False) as http:
        caller = Caller(address, http)
        place = {"RequestId": "0", "AppId": APP, "RoomId": ROOM, "Mode": 1, "ChannelType": 0}
        job_id = str((await caller.ask("job.acquire", place))["Data"]["JobId"])
        job = {"JobId": job_id}
        await caller.ask("job.start", job, _sections(store, viewer.url))
        publishers = [Publisher([Flash(grey=grey), Beep(hz)], codec) for codec, hz, grey in people.values()]
        try:
            sessions = [
                await caller.publish(publisher, stream) for publisher, stream in zip(publishers, people, strict=True)
            ]
            _say(f"{' and '.join(people)} are mixed and recorded for {seconds:g} s")
            await asyncio.sleep(seconds / 2)
            await caller.ask("job.mixer.update", job, {"MixerConfig": {"MixedVideoLayout": 2}})
            await asyncio.sleep(seconds / 2)
            _say(f"what is seen by RTMP: {viewer.save()}")
            for session in sessions:
                await caller.leave(session)
        finally:
            for publisher in publishers:
                await publisher.close()
        await caller.ask("job.stop", job)
        await caller.wait_for_end(job)
    return job_id


def run(folder: Path, seconds: float = SECONDS) -> Path:
    """Mix a room live, and compose what was recorded of it; returns that video.

    Raises:
        LiveDemoError: it cannot be done.
        OSError: the folder cannot be written.
    """
    store = (folder / "recordings").absolute()
    store.mkdir(parents=True, exist_ok=True)
    conf = folder / "owt.toml"
    conf.write_text(
        f'[service]\nice_addresses = ["127.0.0.1"]\n[local]\nroots = [{json.dumps(str(store))}]\n', encoding="utf-8"
    )
    with Viewer(folder / "rtmp.png") as viewer, _serving(folder, conf) as address:
        _say(f"the service runs at http://{address}")
        job = asyncio.run(hold(address, store, seconds, viewer))
    _say(f"the room as it was mixed live: {store / f'{ROOM}.mp4'}")
    _say("composing what was recorded")
    command = [sys.executable, "-m", "owtmix", "--state", str(folder / "state"), str(store / ROOM / f"{job}.cfg.json")]
    status = subprocess.run(command, env=os.environ | {"OWT_CONF": str(conf)}, check=False).returncode  # noqa: S603
    if status:
        raise LiveDemoError(f"composing ended with {status}")
    return store / ROOM / f"{job}.mp4"


class Viewer:
    """Receives a stream by RTMP, as a server does, and shows the newest picture. Used as a context."""

    def __init__(self, png: Path) -> None:
        self._png = png
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.url: Final = f"rtmp://127.0.0.1:{free.getsockname()[1]}/live/{ROOM}"
        self._newest: VideoFrame | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """It ends with the stream."""

    def save(self) -> Path | str:
        """Save the newest picture as PNG; returns the file, or that nothing was received."""
        if self._newest is None:
            return "nothing yet"
        self._newest.to_image().save(self._png)  # type: ignore[no-untyped-call]
        return self._png

    def _watch(self) -> None:
        import av  # noqa: PLC0415 - only the extra has what it needs

        with suppress(av.error.FFmpegError), av.open(self.url, options={"listen": "1"}) as stream:
            for frame in stream.decode(video=0):
                self._newest = frame


@contextmanager
def _serving(folder: Path, conf: Path) -> Iterator[str]:
    """A running service; its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    options = ["--conf", str(conf), "--state", str(folder / "service"), "--listen", address]
    log = folder / "service.log"
    with log.open("ab") as out:
        process = subprocess.Popen([sys.executable, "-m", "owtmix.service", *options], stderr=out)  # noqa: S603
    try:
        until_s = time.monotonic() + _PATIENCE_S
        while not _answers(address):
            if process.poll() is not None or time.monotonic() > until_s:
                raise LiveDemoError(f"the service does not start: {log} says why")
            time.sleep(_RETRY_S)
        yield address
    finally:
        process.terminate()
        process.wait()


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/readyz", trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _sections(store: Path, rtmp: str) -> dict[str, Any]:
    """What is recorded, how it is mixed, and where the mix is pushed to."""
    return {
        "JobConfig": {"IdleTime": 30},
        "Names": _NAMES,
        "TranscodingConfig": {"Video": {"Codec": "h264", "Width": 1280, "Height": 720, "Fps": 15, "BitRate": 1200}},
        "MixerConfig": {"MixedVideoLayout": 1, "ResizeMode": 2, "Labels": True},
        "LiveConfig": {"Url": rtmp},
        "RecordingConfig": {
            "MediaChannel": 3,
            "FileType": ["mp4", "webm"],
            "StorageConfig": {"Vendor": "local", "Bucket": str(store), "FileNamePrefix": ROOM},
        },
    }


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command's answer


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m owtmix.demo.live",
        description="Mixes a live room of two synthetic participants, and composes it again.",
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path("live"), metavar="FOLDER", help="by default ./live"
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"how long the room is, {SECONDS:g} by default")
    arguments = parser.parse_args()
    try:
        _say(f"the composed room: {run(arguments.folder, arguments.seconds)}")
    except ModuleNotFoundError as error:
        parser.error(f"{error.name} is not installed: install owtmix[service]")
    except LiveDemoError as error:
        parser.exit(1, f"{error}\n")
    except OSError as error:
        parser.error(f"{arguments.folder} cannot be written: {error.strerror}")


if __name__ == "__main__":
    main()

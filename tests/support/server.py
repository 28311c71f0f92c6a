"""A running service: started, asked, killed, and what its processes are."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from owtmix.jobfile.settings_file import INSTALLATION
from tests.support.command import CLEAN_ENVIRONMENT

APP: Final = "app"
PATIENCE_S: Final = 60.0
"""Far longer than anything that is waited for takes, on a busy machine too."""
FINISHED_S: Final = 180.0
"""Each file is made by a process of its own: on a machine with ten others for each core it takes twenty seconds."""
BOTH_TYPES: Final = ("mp4", "webm")

_ENVIRONMENT: Final = CLEAN_ENVIRONMENT | {"PYTHONPATH": str(INSTALLATION)}


class LiveServer:
    """``owt-server`` with all that it has in ``root``; it records into ``root/out``.

    ``service`` has more lines for that table of the settings; ``receives_at`` is the address that media comes to.
    """

    def __init__(self, root: Path, service: str = "min_free_mib = 64", receives_at: str = "127.0.0.1") -> None:
        self.root = root
        self.store = root / "out"
        self.state = root / "state"
        self.conf = root / "owt.toml"
        self.store.mkdir(parents=True, exist_ok=True)
        self.conf.write_text(
            f'[service]\nice_addresses = ["{receives_at}"]\n{service}\n[local]\nroots = ["{self.store}"]\n'
        )
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.url = f"http://{self.address}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ["--conf", str(self.conf), "--state", str(self.state), "--listen", self.address]
        with (self.root / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "owtmix.service", *options], env=_ENVIRONMENT, cwd="/", stderr=log
            )
        wait_until(self._is_ready, "the server answers")

    def kill(self) -> None:
        """End it as a crash does; the processes that receive rooms go on."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process
        self._process.send_signal(number)

    def wait(self) -> int:
        """Its exit status, when it has ended."""
        assert self._process
        return self._process.wait(PATIENCE_S)

    def terminate(self) -> int:
        """End it as an operator does; returns its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def end(self) -> None:
        """End it and everything that it left behind."""
        if self._process and self._process.poll() is None:
            for _ in range(2):
                self._process.send_signal(signal.SIGTERM)
                time.sleep(0.1)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        for module in ("room", "live.mix", "live.push", "finish"):
            for pid in self.processes(module):
                kill(pid)

    def ask(self, action: str, internal: dict[str, Any], data: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer to a request, whatever it is."""
        return self.post({"Version": "1.0", "Action": action, "Internal": internal, "Data": data or {}})

    def post(self, request: dict[str, Any] | bytes) -> dict[str, Any]:
        """The answer to a request, which is sent as it is when it is bytes."""
        content = request if isinstance(request, bytes) else json.dumps(request)
        with httpx.Client(trust_env=False, timeout=PATIENCE_S) as http:
            answer: dict[str, Any] = http.post(self.url, content=content).json()
        return answer

    def record(self, room: str, *, idle_s: int = 60, notify: str = "", mode: int = 0, **data: Any) -> LiveJob:
        """Begin to record a room, with ``mode`` 1 to mix it, too; ``data`` has more sections of ``job.start``."""
        place = {"AppId": APP, "RoomId": room, "Mode": mode, "ChannelType": 0, "RequestId": "0"}
        job_id = self.ask("job.acquire", place)["Data"]["JobId"]
        receivers = [
            {"ServiceType": service, "NotifyUrl": notify, "Status": "open"}
            for service in ("job.mixer" if mode else "job.record", "job.oss", "job.living")
            if notify
        ]
        sections = {
            "JobConfig": {"IdleTime": idle_s},
            "RecordingConfig": {
                "MediaChannel": 3,
                "FileType": [*BOTH_TYPES],
                "StorageConfig": {"Vendor": "local", "Bucket": str(self.store), "FileNamePrefix": room},
            },
            **({"NotifyConfig": receivers} if notify else {}),
        }
        answer = self.ask("job.start", {"JobId": job_id}, sections | data)
        assert answer["RetCode"] == 0, answer
        return LiveJob(self, job_id, room)

    def processes(self, module: str) -> list[int]:
        """Those of ``owtmix.recorder.MODULE``, or of ``owtmix.MODULE``, that work for this server."""
        found, names = [], {f"owtmix.recorder.{module}", f"owtmix.{module}"}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (folder / "cmdline").read_text(errors="replace").split("\0")
                if names.intersection(words) and any(word.startswith(str(self.state)) for word in words):
                    found.append(int(folder.name))
        return found

    def _is_ready(self) -> bool:
        assert self._process
        status = self._process.poll()
        assert status is None, f"it ended with {status}: {(self.root / 'server.log').read_text()}"
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/readyz", trust_env=False).status_code == httpx.codes.OK
        return False


@dataclass(frozen=True, slots=True)
class LiveJob:
    """A job that records ``room``."""

    server: LiveServer
    id: str
    room: str

    @property
    def folder(self) -> Path:
        """Of its room."""
        return self.server.state / "rooms" / self.id

    @property
    def described(self) -> Path:
        """Where the job that composes the room is, once it was uploaded."""
        return self.server.store / self.room / f"{self.id}.cfg.json"

    def whip(self, stream: str) -> str:
        """Where ``stream`` is sent to."""
        return f"{self.server.url}/whip/{APP}/{self.room}/{stream}"

    def streams(self) -> list[dict[str, Any]]:
        """What the service tells of the streams of the room."""
        answer = self.server.ask("job.query", {"JobId": self.id})
        found: list[dict[str, Any]] = answer["Data"].get("Streams", [])
        return found

    def runs(self) -> bool:
        return bool(self.server.ask("job.query", {"JobId": self.id})["RetCode"] == 0)

    def stop(self) -> None:
        """Ask for the end; it is there when ``runs`` is false."""
        answer = self.server.ask("job.stop", {"JobId": self.id})
        assert answer["RetCode"] == 0, answer

    def wait_for_end(self) -> None:
        wait_until(lambda: not self.runs(), "the job ends", FINISHED_S)

    def index(self) -> dict[str, Any]:
        """What was recorded, after the end."""
        path = self.server.store / self.room / f"{self.id}.json"
        assert path.is_file(), self.logs()
        index: dict[str, Any] = json.loads(path.read_bytes())
        return index

    def logs(self) -> str:
        """What the processes said."""
        paths = [self.server.root / "server.log", *sorted(self.folder.glob("*.log"))]
        return "\n".join(f"--- {path.name}\n{path.read_text()}" for path in paths if path.exists())

    def compose(self, *options: str) -> Path:
        """Compose the room by the command that the recorder's job is for."""
        done = subprocess.run(
            [sys.executable, "-m", "owtmix", "--quiet", *options, str(self.described)],
            env=_ENVIRONMENT
            | {"OWT_CONF": str(self.server.conf), "XDG_STATE_HOME": str(self.server.root / "composing")},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert done.returncode == 0, done.stderr
        return self.described.with_name(f"{self.id}.mp4")


@contextmanager
def serving(root: Path, service: str = "min_free_mib = 64", receives_at: str = "127.0.0.1") -> Iterator[LiveServer]:
    """A running server."""
    server = LiveServer(root, service, receives_at=receives_at)
    try:
        server.start()
        yield server
    finally:
        server.end()


def wait_until(holds: Callable[[], object], what: str, within_s: float = PATIENCE_S) -> None:
    """Wait until ``holds`` gives something true."""
    until_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until_s, f"not within {within_s:g} s: {what}"
        time.sleep(0.05)


def kill(pid: int) -> None:
    """Kill a process, which may have ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)

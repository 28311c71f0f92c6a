"""A running ``owt-server`` of its own, with its state in a folder of the test's."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

ROOT: Final = Path(__file__).parents[2]
_STARTS_S: Final = 60.0
_ENDS_S: Final = 90.0
_REST_S: Final = 0.05


@dataclass
class RunningServer:
    """A server that listens at ``url``; ``log`` has what it says."""

    url: str
    state: Path
    log: Path
    command: list[str]
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes]

    def post(self, document: Any) -> dict[str, Any]:
        """The answer to a request, which is sent as it is when it is bytes."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        answer = httpx.post(self.url, content=body, timeout=30, trust_env=False)
        assert answer.status_code == 200
        return dict(answer.json())

    def act(self, action: str, job: str = "", data: Any = None, **internal: Any) -> dict[str, Any]:
        internal = ({"JobId": job} if job else {}) | internal
        return self.post({"Version": "1.0", "Action": action, "Internal": internal, "Data": data or {}})

    def kill(self) -> None:
        """End it by SIGKILL: rooms are received on."""
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        """Start it, again perhaps, and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=self.environment)
        until_s = time.monotonic() + _STARTS_S
        while time.monotonic() < until_s:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if httpx.get(f"{self.url}/healthz", timeout=5, trust_env=False).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                time.sleep(_REST_S)
        raise AssertionError(f"it does not answer: {self.log.read_text()}")

    def end(self) -> int:
        """End it by SIGTERM, with all its jobs; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_ENDS_S)


@contextmanager
def running_server(
    folder: Path, service: str = "", settings: str = "", environment: Mapping[str, str] | None = None
) -> Iterator[RunningServer]:
    """A server on loopback; it is ended with all its jobs.

    Args:
        folder: For its state, settings and log.
        service: More lines for the table ``service`` of the settings.
        settings: Other tables.
        environment: More variables.
    """
    folder.mkdir(parents=True, exist_ok=True)
    conf = folder / "owt.toml"
    conf.write_text(f'{settings}\n[service]\nice_addresses = ["127.0.0.1"]\n{service}\n')
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "owtmix.service",
        "--conf",
        str(conf),
        "--state",
        str(folder / "state"),
        "--listen",
        f"127.0.0.1:{port}",
    ]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OWT_CONF": str(conf)} | dict(environment or {})
    server = RunningServer(
        f"http://127.0.0.1:{port}",
        folder / "state",
        folder / "log",
        command,
        variables,
        None,  # type: ignore[arg-type]
    )
    server.start()
    try:
        yield server
    finally:
        try:
            server.end()
        finally:
            server.process.kill()

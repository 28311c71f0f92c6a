"""The process that pushes a mix, and what it tells."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.support.server import PATIENCE_S

KEY: Final = "live-key-8d1f"
TOKEN: Final = "token=s3cr3t%2Fpass"
"""Parts of addresses that nobody may see."""


def address(port: int, scheme: str = "rtmp", host: str = "127.0.0.1") -> str:
    """Of a stream with a key."""
    return f"{scheme}://{host}:{port}/live/{KEY}?{TOKEN}"


@dataclass
class RunningPusher:
    """One that runs; ``told`` are its states so far."""

    process: subprocess.Popen[bytes]
    told: list[dict[str, Any]] = field(default_factory=list)
    words: str = ""
    _threads: list[threading.Thread] = field(default_factory=list)

    def states(self) -> list[str]:
        """The states so far."""
        return [one["state"] for one in self.told]

    def wait_for(self, state: str) -> dict[str, Any]:
        """Wait until a state is told; the first time that it was."""
        until_s = time.monotonic() + PATIENCE_S
        while state not in self.states() and self.process.poll() is None and time.monotonic() < until_s:
            time.sleep(0.05)
        self._join_if_over()
        assert state in self.states(), (self.told, self.words)
        return next(one for one in self.told if one["state"] == state)

    def stop(self) -> int:
        """End it by SIGTERM. Returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.status()

    def status(self, within_s: float = 60) -> int:
        """Wait for the end. Returns the exit status."""
        status = self.process.wait(within_s)
        self._join_if_over()
        return status

    def peak_bytes(self) -> int:
        """The most memory that it had."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) << 10

    def _join_if_over(self) -> None:
        if self.process.poll() is not None:
            for thread in self._threads:
                thread.join(10)


@contextmanager
def pushing(folder: Path, order: Mapping[str, Any], **environment: str) -> Iterator[RunningPusher]:
    """A pusher of the mix in ``folder``."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "owtmix.live.push", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    )
    running = RunningPusher(process)

    def hear() -> None:
        for line in process.stdout or ():
            running.told.append(json.loads(line))

    def hear_words() -> None:
        running.words = (process.stderr.read() if process.stderr else b"").decode()

    running._threads = [threading.Thread(target=target, daemon=True) for target in (hear, hear_words)]
    for thread in running._threads:
        thread.start()
    try:
        assert process.stdin
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.close()
        yield running
    finally:
        process.kill()
        process.wait()
        running._join_if_over()

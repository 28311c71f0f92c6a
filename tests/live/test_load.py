"""Sixteen streams in one room, as a phone sends them: nothing is lost, and processor and memory are bounded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import pytest

from owtmix.jobfile.settings_file import INSTALLATION
from owtmix.recorder.journal import Frame, JournalReader
from tests.live.conftest import Tell
from tests.support.command import CLEAN_ENVIRONMENT
from tests.support.participant import make_clip
from tests.support.server import LiveJob, serving, wait_until

pytestmark = pytest.mark.serial

STREAMS: Final = 16
SECONDS: Final = 20
SOAK_MINUTES: Final = float(os.environ.get("OWT_SOAK_MINUTES", "3"))
MOST_CPU: Final = 0.08
"""Of a core, for a stream, where the core is shared. On an idle machine it is less than 0.04."""
Counts = dict[str, dict[str, int]]
SETTLED_S: Final = 5.0
"""After the last sender has come, when buffers have their size."""
MOST_GROWTH_MIB: Final = 12.0
"""Of memory, from then to the end."""


def test_sixteen_streams_are_received_whole(tmp_path: Path, tell: Tell) -> None:
    receive(tmp_path, tell, SECONDS)


@pytest.mark.attack
@pytest.mark.timeout(SOAK_MINUTES * 60 + 300)
def test_memory_stays_flat_for_long(tmp_path: Path, tell: Tell) -> None:
    receive(tmp_path, tell, SOAK_MINUTES * 60)


def receive(root: Path, tell: Tell, seconds: float) -> None:
    """Receive the streams for so long; no frame may be missing in the journals."""
    clip = make_clip(root / "clip.mkv", "H264", (1280, 720), 30, 3, 1500, noise=24)
    length_s = float(clip.video[-1].t_s)
    rate = sum(len(packet.data) for packet in (*clip.video, *clip.audio)) * 8 / length_s / 1e6
    with serving(root) as server:
        job = server.record("hall")
        addresses = [job.whip(f"user{n}_1") for n in range(STREAMS)]
        command = [sys.executable, "-m", "tests.support.replay", str(root / "clip.mkv"), str(seconds), *addresses]
        environment = CLEAN_ENVIRONMENT | {"PYTHONPATH": str(INSTALLATION)}
        with subprocess.Popen(command, env=environment, cwd=INSTALLATION, stdout=subprocess.PIPE) as sending:
            assert sending.stdout
            try:
                wait_until(lambda: len(job.streams()) == STREAMS, "all senders are there")
                usage = observe(job, seconds - 2)
                sent: Counts = json.loads(sending.stdout.read())
            finally:
                sending.kill()
        frames = sum(sum(of.values()) for of in sent.values())
        tell(f"{STREAMS} streams of {rate:.2f} Mbit/s, {frames:,} frames: {usage}")
        assert received(job) == sent
        assert usage.cpu / STREAMS <= MOST_CPU
        assert usage.growth_mib <= MOST_GROWTH_MIB


@dataclass(frozen=True, slots=True)
class Usage:
    """What receiving took: processor as a part of a core, memory second by second, packets asked for again."""

    cpu: float
    memory_mib: list[float]
    asked: int

    @property
    def growth_mib(self) -> float:
        return median(self.memory_mib[-3:]) - median(self.memory_mib[:3])

    def __str__(self) -> str:
        return (
            f"{self.cpu / STREAMS:.2%} of a core for each, {self.memory_mib[-1]:.0f} MiB of memory, "
            f"{self.growth_mib:+.1f} in {len(self.memory_mib)} s, {self.asked} packets asked for again"
        )


def observe(job: LiveJob, seconds: float) -> Usage:
    """What the process of the room uses within so many seconds, when it has settled."""
    (pid,) = job.server.processes("room")
    process = Path(f"/proc/{pid}")
    time.sleep(SETTLED_S)
    memory_mib = []
    begun_s, used_s = time.monotonic(), cpu_s(process)
    while time.monotonic() - begun_s < seconds - SETTLED_S:
        time.sleep(1)
        pages = int((process / "statm").read_text().split()[1])
        memory_mib.append(pages * os.sysconf("SC_PAGESIZE") / (1 << 20))
    used = (cpu_s(process) - used_s) / (time.monotonic() - begun_s)
    tracks = [track for stream in job.streams() for track in stream["tracks"]]
    assert not any(track["lost"] for track in tracks), tracks
    return Usage(used, memory_mib, sum(track["asked"] for track in tracks))


def cpu_s(process: Path) -> float:
    """The processor time of a process so far."""
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def received(job: LiveJob) -> Counts:
    """How many frames the journals have, by stream and kind."""
    found: Counts = {}
    for path in (job.folder / "journals").iterdir():
        with JournalReader(path) as reader:
            of = found.setdefault(str(reader.head.stream), {})
            of[reader.head.kind] = sum(isinstance(record, Frame) for record in reader.records())
    return found

"""What receiving a room costs: CPU of a core for each stream, packets lost, and memory.

Publishers repeat the packets of a 720p30 file, without encoding, from processes of their own, over loopback. They take
more CPU than the room does: where the machine has too little for both, they send less than 30 frames a second.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.tables import markdown
from owtmix.demo.publisher import VideoCodec
from owtmix.recorder.control import RoomControl
from owtmix.recorder.rtp.ice import IceSettings
from owtmix.recorder.rtp.install import use_addresses
from tests.support.live import LOOPBACK, START_S, Sending, publish_clip, running_room, until
from tests.support.participant import make_clip

SIZE: Final = (1280, 720)
FPS: Final = 30
KBPS: Final = 2500
NOISE: Final = 24
"""Keeps the encoder to its rate."""
CLIP_S: Final = 4
SETTLE_S: Final = 4.0
PER_PROCESS: Final = 4
"""Publishers in one process."""


def main(words: Sequence[str]) -> None:
    """Print a row for each codec and number of streams.

    Args:
        words: the command line, without the program.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lab ingest", description=__doc__)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 4, 16], help="how many at a time; 1 4 16 without")
    parser.add_argument("--seconds", type=float, default=15, help="of measuring, each time; 15 without")
    parser.add_argument("--send", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.send:
        clip, folder, first, count = arguments.send
        asyncio.run(_send(Path(clip), Path(folder), range(int(first), int(first) + int(count))))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        codecs: tuple[VideoCodec, ...] = ("H264", "VP8")
        for codec in codecs:
            clip = Path(folder) / f"{codec}.mkv"
            make_clip(clip, codec, SIZE, FPS, CLIP_S, KBPS, NOISE)
            for count in arguments.streams:
                room = Path(folder) / f"{codec}-{count}"
                rows.append([codec, str(count), *asyncio.run(_measure(clip, room, count, arguments.seconds))])
    heads = (
        "codec",
        "streams",
        "frames/s each",
        "Mbit/s each",
        "% of a core each",
        "packets asked for again",
        "frames lost",
        "MiB",
    )
    print(markdown(heads, rows))


async def _measure(clip: Path, folder: Path, count: int, seconds: float) -> list[str]:
    async with running_room(folder) as room:
        senders = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "benchmarks.lab", "ingest", "--send", str(clip), str(folder)),
                *(str(first), str(min(PER_PROCESS, count - first))),
            )
            for first in range(0, count, PER_PROCESS)
        ]
        try:
            for n in range(count):
                await until(room, "joined", f"load{n}_1", START_S)
            await asyncio.sleep(SETTLE_S)
            before = await room.control.status()
            await asyncio.sleep(seconds)
            after = await room.control.status()
        finally:
            for sender in senders:
                sender.terminate()
        await room.control.stop()
    taken = {key: _sum(after, key) - _sum(before, key) for key in ("bytes", "asked", "lost")}
    frames = _sum(after, "frames", "video") - _sum(before, "frames", "video")
    cpu_s = after["cpu_s"] - before["cpu_s"]
    return [
        f"{frames / seconds / count:.1f}",
        f"{taken['bytes'] * 8e-6 / seconds / count:.2f}",
        f"{100 * cpu_s / seconds / count:.2f}",
        str(taken["asked"]),
        str(taken["lost"]),
        f"{after['memory_bytes'] / (1 << 20):.0f}",
    ]


def _sum(status: dict[str, Any], key: str, kind: str = "") -> int:
    tracks = [track for session in status["sessions"] for track in session["tracks"]]
    return sum(track.get(key, 0) for track in tracks if kind in {"", track["kind"]})


async def _send(clip: Path, folder: Path, numbers: range) -> None:
    """Publish until this process is ended."""
    use_addresses(IceSettings(LOOPBACK))
    control = await RoomControl.connect(folder, within_s=60)
    sending: list[Sending] = [await publish_clip(control, f"load{n}_1", clip) for n in numbers]
    await asyncio.Event().wait()
    for one in sending:
        await one.close()


if __name__ == "__main__":
    main(sys.argv[1:])

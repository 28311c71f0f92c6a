"""The sample room: four people joining and leaving over 30 s, made with nothing but this package's libraries."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from owtmix.demo.recording import Person, Take, record

ROOM: Final = "sample-room"
START_MS: Final = 1_795_327_385_000
"""2026-11-22 14:03:05 in Beijing."""


_ALICE: Final = Person("Alice", (72, 118, 190), (523.25, 0, 659.26, 783.99, 0, 659.26), 7.0)
_BOB: Final = Person("Bob", (66, 148, 106), (130.81, 196.0, 0, 0), 5.5)
_WANG: Final = Person("王小明", (194, 108, 66), (440.0, 0, 0, 392.0, 329.63, 0), 6.3)
_DANA: Final = Person("Dana", (142, 88, 168), (0, 880.0, 0, 1046.5), 4.7)


def steady(length_ms: int, fps: int) -> tuple[int, ...]:
    """The times of so many frames a second, in milliseconds."""
    return tuple(round(i * 1000 / fps) for i in range(length_ms * fps // 1000))


def _jittered(length_ms: int, fps: int, jitter_ms: int) -> tuple[int, ...]:
    """About ``fps`` frames per second, with random delays and one frame in ten dropped, as from a busy phone."""
    generator = random.Random(fps)  # noqa: S311 - not used for cryptography; the seed makes it reproducible
    late = (t + generator.randrange(jitter_ms) for t in steady(length_ms - jitter_ms, fps) if generator.random() > 0.1)  # noqa: PLR2004
    return (0, *(t for t in late if t > jitter_ms))


_SLIDES_MS: Final = (0, 700, 1500, 1600, 3900, 4400, 6200, 8000, 8100, 9700, 10_900, 11_780)

TAKES: Final = (
    Take("alice_1", "alice_1.webm", _ALICE, 0, 30_000, steady(30_000, 15), "vp8"),
    Take("bob_1", "bob_1.mp4", _BOB, 2_340, 24_760, steady(24_760, 20), "h264"),
    Take("王小明_1", "王小明_1.webm", _WANG, 5_617, 24_383, _jittered(24_383, 15, 40), "vp8"),
    Take("alice_2", "alice_2.webm", _ALICE, 9_205, 11_800, _SLIDES_MS, "vp8", sound="none", is_screen=True),
    Take("dana_1", "dana_1.mp4", _DANA, 12_911, 4_500, steady(4_500, 15), "h264", 44_100, "mono"),
    Take("dana_1", "dana_1-2.mp4", _DANA, 20_753, 5_600, steady(5_600, 15), "h264", 44_100, "mono"),
)


def make_room(folder: Path) -> Path:
    """Write the sample room to ``folder/sample-room``, replacing an existing one; returns its path."""
    return write_room(folder, ROOM, TAKES)


def write_room(folder: Path, name: str, takes: Sequence[Take]) -> Path:
    """Write a room to ``folder/name``, replacing an existing one; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    room = folder / name
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-") as temporary:
        made = Path(temporary) / name
        made.mkdir()
        with ThreadPoolExecutor() as pool:
            for _ in pool.map(lambda take: record(take, made / take.name), takes):
                pass
        index = json.dumps(_index(name, takes), ensure_ascii=False, indent=2)
        (made / "index.json").write_text(index + "\n", encoding="utf-8")
        if room.exists():
            shutil.move(room, Path(temporary) / "replaced")
        made.rename(room)
    return room


def _index(name: str, takes: Sequence[Take]) -> dict[str, Any]:
    """The index of a room (API document, section 11.2)."""
    files = [{"StreamId": take.stream, "Name": take.name, "StartTime": START_MS + take.start_ms} for take in takes]
    return {"JobId": name, "RoomId": name, "StartTime": START_MS, "Root": name, "Files": files}

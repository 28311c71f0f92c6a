"""The scenes: named rooms. Each is a folder with a job file, an index and recordings, made once and kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Final

from benchmarks.recordings import Take, available_kind, record

VERSION: Final = 2
"""Is part of a scene's folder name; count it up with every change of the recordings."""
START_MS: Final = 1_795_327_385_000
FULL_HD: Final = (1920, 1080)
HD: Final = (1280, 720)
NHD: Final = (640, 360)
TINY: Final = (320, 180)


@dataclass(frozen=True, slots=True)
class Scene:
    """A room and its layout. The takes of the scenes ``parts`` follow each other, after those of its own."""

    name: str
    about: str
    takes: tuple[Take, ...] = ()
    size: tuple[int, int] = HD
    layout: int = 1
    largest: str = ""
    parts: tuple[str, ...] = ()

    @property
    def job_id(self) -> str:
        return f"bench-{self.name}"

    @property
    def length_s(self) -> float:
        return max(take.start_s + take.length_s for take in self.takes)


def _people(visits: Sequence[Sequence[float]], *sizes: tuple[int, int], key_s: float = 10) -> tuple[Take, ...]:
    """The cameras of people 1, 2, and so on; ``visits`` has the seconds at which each joins and leaves, in turn."""
    return tuple(
        Take(f"p{n:02}_1", n, start, end - start, size, "vp8" if n % 2 else "h264", key_s)
        for n, (times, size) in enumerate(zip(visits, cycle(sizes), strict=False), 1)
        for start, end in zip(times[::2], times[1::2], strict=True)
    )


_VISITS: Final = (
    *([0, 120], [2.1, 58.3, 66.2, 120], [4.4, 40.7, 52.5, 120], [7.8, 90.4], [11.2, 47.6, 61.4, 120]),
    *([15.5, 75.1, 83.3, 120], [20.6, 108.2], [26.3, 69.5, 78.7, 115.9], [33.1, 98.8]),
)
_LIVELY_ABOUT: Final = "nine 720p30 people and a screen, 24 joins and leaves in two minutes, 720p15"
_LIVELY: Final = (*_people(_VISITS, HD), Take("p01_2", 1, 29.4, 95.2 - 29.4, HD, "vp8"))
_LECTURE: Final = (Take("p01_1", 1, 0, 120, HD, "h264"), Take("p01_2", 1, 0, 120, FULL_HD, "vp8"))
_ONE_KEY: Final = _people([[0, 120]] * 4, HD, key_s=3600)
_HOUR_ABOUT: Final = "an hour made of grid4, lively9, crowd25 and lecture, 1080p15"

SCENES: Final[Mapping[str, Scene]] = {
    scene.name: scene
    for scene in (
        Scene("grid4", "four steady 360p30 streams, 1080p15", _people([[0, 60]] * 4, NHD), FULL_HD),
        Scene("lively9", _LIVELY_ABOUT, _LIVELY, layout=2, largest="p01_2"),
        Scene("crowd25", "25 streams of 180p to 720p, 720p15", _people([[0, 60]] * 25, HD, NHD, TINY, NHD, TINY)),
        Scene("lecture", "one screen with few frames and one camera, 720p15", _LECTURE, layout=2, largest="p01_2"),
        Scene("onekey", "four 720p30 streams, each with a single key frame, 720p15", _ONE_KEY),
        Scene("hour", _HOUR_ABOUT, (), FULL_HD, layout=2, parts=10 * ("grid4", "lively9", "crowd25", "lecture")),
    )
}


def make(name: str, cache: Path) -> Path:
    """The folder of a scene, made in ``cache`` unless it is there."""
    scene, kind = SCENES[name], available_kind()
    folder = cache / f"{name}-{kind}-v{VERSION}"
    if not folder.is_dir():
        parts = {part: make(part, cache) for part in scene.parts}
        partial = folder.with_name(f".{folder.name}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda take: record(take, partial / take.name, kind), scene.takes))
        for part, recordings in parts.items():
            (partial / part).mkdir()
            for take in SCENES[part].takes:
                (partial / part / take.name).hardlink_to(recordings / take.name)
        partial.rename(folder)
    _write(folder / f"{scene.job_id}.json", index_document(scene))
    _write(folder / "cfg.json", job_document(scene))
    return folder


def cut(index: Path, end_s: float, path: Path) -> Path:
    """Write the index with nothing after ``end_s`` to ``path``."""
    document = json.loads(index.read_text(encoding="utf-8"))
    end_ms = document["StartTime"] + round(end_s * 1000)
    files = [file for file in document["Files"] if file["StartTime"] < end_ms]
    document["Files"] = [file | {"EndTime": min(file["EndTime"], end_ms)} for file in files]
    _write(path, document)
    return path


def placed(scene: Scene) -> Iterator[tuple[str, Take, float]]:
    """Every recording: its name in the scene's folder, its take, and the second at which it starts."""
    for take in scene.takes:
        yield take.name, take, take.start_s
    start_s = 0.0
    for part in scene.parts:
        for take in SCENES[part].takes:
            yield f"{part}/{take.name}", take, start_s + take.start_s
        start_s += SCENES[part].length_s


def index_document(scene: Scene) -> dict[str, Any]:
    """The index of a scene, as the recorder writes it."""
    files = []
    for name, take, start_s in placed(scene):
        start, end = (START_MS + round(t * 1000) for t in (start_s, start_s + take.length_s))
        files.append({"StreamId": take.stream, "Name": name, "StartTime": start, "EndTime": end})
    return {"JobId": scene.job_id, "RoomId": scene.name, "StartTime": START_MS, "Files": files}


def job_document(scene: Scene) -> dict[str, Any]:
    """The job file of a scene."""
    video = {"Width": scene.size[0], "Height": scene.size[1], "Fps": 15, "BitRate": 1000}
    store = {"Vendor": "local", "Bucket": ".", "FileNamePrefix": "out.mp4"}
    return {
        "Action": "job.start",
        "Internal": {"JobId": scene.job_id, "RoomId": scene.name},
        "Data": {
            "TranscodingConfig": {"Video": video},
            "MixerConfig": {"MixedVideoLayout": scene.layout, "ResizeMode": 2, "MaxResolutionStream": scene.largest},
            "RecordingConfig": {"MediaChannel": 3, "StorageConfig": store},
        },
    }


def _write(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

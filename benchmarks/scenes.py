"""The scenes: named rooms, each a folder with a job file, an index and recordings, made once and kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks import footage
from benchmarks.footage import Kind
from benchmarks.recording import Codec, Take, record

VERSION: Final = 2
"""Counts what changes the recordings: one of another version is made anew."""

START_MS: Final = 1_795_327_385_000
HD: Final = (1280, 720)
NHD: Final = (640, 360)
TINY: Final = (320, 180)


@dataclass(frozen=True, slots=True)
class Scene:
    """A room and how it is to look. The takes of ``parts`` follow each other, from the start, ``repeats`` times.

    One that is not ``compared`` is for this tool alone.
    """

    name: str
    about: str
    size: tuple[int, int]
    layout: int
    takes: tuple[Take, ...] = ()
    largest: str = ""
    parts: tuple[str, ...] = ()
    repeats: int = 0
    compared: bool = True

    @property
    def job_id(self) -> str:
        return f"bench-{self.name}"

    @property
    def length_s(self) -> float:
        return max(take.start_s + take.length_s for take in self.takes)


def _codec(number: int) -> Codec:
    return "vp8" if number % 2 else "h264"


def _steady(count: int, length_s: float, size: tuple[int, int], **traits: Any) -> tuple[Take, ...]:
    return tuple(Take(f"p{n:02}_1", n, 0, length_s, size, _codec(n), **traits) for n in range(1, count + 1))


_VISITS: Final[Mapping[int, Sequence[tuple[float, float]]]] = {
    1: [(0, 120)],
    2: [(2.1, 58.3), (66.2, 120)],
    3: [(4.4, 40.7), (52.5, 120)],
    4: [(7.8, 90.4)],
    5: [(11.2, 47.6), (61.4, 120)],
    6: [(15.5, 75.1), (83.3, 120)],
    7: [(20.6, 108.2)],
    8: [(26.3, 69.5), (78.7, 115.9)],
    9: [(33.1, 98.8)],
}
_SCREEN: Final = (29.4, 95.2)
_CROWD_SIZES: Final = (HD, NHD, TINY, NHD, TINY)

SCENES: Final[Mapping[str, Scene]] = {
    scene.name: scene
    for scene in (
        Scene("grid4", "four steady 360p30 streams, 1080p15", (1920, 1080), 1, _steady(4, 60, NHD)),
        Scene(
            "lively9",
            "nine 720p30 people and a screen, 24 joins and leaves in two minutes, 720p15",
            HD,
            2,
            (
                *(
                    Take(f"p{n:02}_1", n, start, end - start, HD, _codec(n))
                    for n, visits in _VISITS.items()
                    for start, end in visits
                ),
                Take("p01_2", 1, _SCREEN[0], _SCREEN[1] - _SCREEN[0], HD, "vp8"),
            ),
            largest="p01_2",
        ),
        Scene(
            "crowd25",
            "25 streams of 180p to 720p, 720p15",
            HD,
            1,
            tuple(replace(take, size=size) for take, size in zip(_steady(25, 60, HD), 5 * _CROWD_SIZES, strict=True)),
        ),
        Scene(
            "lecture",
            "one screen with few frames and one camera, 720p15",
            HD,
            2,
            (Take("p01_1", 1, 0, 120, HD, "h264"), Take("p01_2", 1, 0, 120, (1920, 1080), "vp8")),
            largest="p01_2",
        ),
        Scene(
            "onekey",
            "four 720p30 streams, each with a single key frame, 720p15",
            HD,
            1,
            _steady(4, 120, HD, key_s=3600),
        ),
        Scene(
            "hour",
            "an hour made of grid4, lively9, crowd25 and lecture, 1080p15",
            (1920, 1080),
            2,
            parts=("grid4", "lively9", "crowd25", "lecture"),
            repeats=10,
            compared=False,
        ),
    )
}


def make(name: str, cache: Path) -> Path:
    """The folder of a scene, made in ``cache`` unless it is there."""
    scene, of = SCENES[name], footage.kind()
    folder = cache / f"{name}-{of}-v{VERSION}"
    if not folder.is_dir():
        _record(scene, of, cache, folder)
    job, index = documents(scene)
    _write(folder / f"{scene.job_id}.json", index)
    _write(folder / "cfg.json", job)
    return folder


def documents(scene: Scene) -> tuple[dict[str, Any], dict[str, Any]]:
    """The job file of a scene, and its index."""
    return _job(scene), _index(scene)


def _record(scene: Scene, of: Kind, cache: Path, folder: Path) -> None:
    parts = {part: make(part, cache) for part in scene.parts}
    partial = folder.with_name(f".{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda take: record(take, partial / take.name, of), scene.takes))
    for part, recordings in parts.items():
        (partial / part).mkdir()
        for take in SCENES[part].takes:
            (partial / part / take.name).hardlink_to(recordings / take.name)
    partial.rename(folder)


def cut(index: Path, end_s: float, path: Path) -> Path:
    """Write the index with nothing after ``end_s`` to ``path``."""
    document = json.loads(index.read_text(encoding="utf-8"))
    end_ms = document["StartTime"] + round(end_s * 1000)
    files = [file for file in document["Files"] if file["StartTime"] < end_ms]
    document["Files"] = [file | {"EndTime": min(file["EndTime"], end_ms)} for file in files]
    _write(path, document)
    return path


def placed(scene: Scene) -> Iterator[tuple[str, Take, float]]:
    """Every recording's name in the scene's folder, what it is, and when it starts."""
    for take in scene.takes:
        yield take.name, take, take.start_s
    start_s = 0.0
    for part in scene.parts * scene.repeats:
        for take in SCENES[part].takes:
            yield f"{part}/{take.name}", take, start_s + take.start_s
        start_s += SCENES[part].length_s


def _index(scene: Scene) -> dict[str, Any]:
    files = []
    for name, take, start_s in placed(scene):
        start, end = (START_MS + round(t * 1000) for t in (start_s, start_s + take.length_s))
        files.append({"StreamId": take.stream, "Name": name, "StartTime": start, "EndTime": end})
    return {"JobId": scene.job_id, "RoomId": scene.name, "StartTime": START_MS, "Files": files}


def _job(scene: Scene) -> dict[str, Any]:
    width, height = scene.size
    mixer = {"MixedVideoLayout": scene.layout, "ResizeMode": 2, "MaxResolutionStream": scene.largest}
    store = {"Vendor": "local", "Bucket": ".", "FileNamePrefix": "out.mp4"}
    return {
        "Action": "job.start",
        "Internal": {"JobId": scene.job_id, "RoomId": scene.name},
        "Data": {
            "TranscodingConfig": {"Video": {"Width": width, "Height": height, "Fps": 15, "BitRate": 1000}},
            "MixerConfig": mixer,
            "RecordingConfig": {"MediaChannel": 3, "StorageConfig": store},
        },
    }


def _write(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

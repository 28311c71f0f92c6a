"""Guesses of what a job takes, from its job file, its index and the sizes of its recordings; no recording is opened.

The order of the jobs and the admission depend on them. They need not be right: whoever knows better says ``cost`` in
the manifest, and memory is corrected by what jobs took (``owtmix/batch/estimates.py``).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from owtmix.base.named_file import read_named_file, unfit_path
from owtmix.batch.attempt import BatchJob
from owtmix.batch.capacity import Room
from owtmix.batch.job_files import KEPT_FILES, read_job_file
from owtmix.batch.manifest import is_local_path
from owtmix.jobfile.bounds import MAX_RECORDINGS
from owtmix.jobfile.index_time import EPOCH_MILLISECONDS_FROM, EPOCH_SECONDS_FROM

MAIN_BYTES: Final = 160 << 20
"""Of the process that leads a job."""
WORKER_BYTES: Final = 160 << 20
"""Of a worker without a canvas and decoders."""
_PIXEL_BYTES: Final = 120
"""Of canvas and encoder, for each pixel."""
_DECODER_BYTES: Final = 24 << 20
_MOST_DECODERS: Final = 32
_INPUT_KBPS: Final = 1000
"""Of a recording whose end nobody wrote down."""
_OUTPUT_KBPS: Final = 1200
_KEPT: Final = 2.5
"""Chunks, joined tracks and the output, per size of the output."""
_LARGEST_INDEX_BYTES: Final = 4 * 2**20
_LONGEST_S: Final = 7 * 86_400
_LARGEST_PX: Final = 8192
_HIGHEST_FPS: Final = 120
_USUAL: Final = Room()
_INPUT_STORAGE: Final = "Data.InputConfig.StorageConfig"
_STORAGE: Final = "Data.RecordingConfig.StorageConfig"
_VIDEO: Final = "Data.TranscodingConfig.Video"
_KEPT_INDEXES: Final = 16_384


@dataclass(frozen=True, slots=True)
class Guess:
    """What a job takes.

    Attributes:
        output_s: length of its output in seconds; None where only a store knows.
        cost: seconds that one core may take, as far as jobs are compared; None likewise.
        memory_bytes: of its processes, with one worker.
        disk_bytes: of its work folder.
        room: what it is to a card; None where only a store knows.
    """

    output_s: float | None = None
    cost: float | None = None
    memory_bytes: int = MAIN_BYTES + WORKER_BYTES
    disk_bytes: int = 0
    room: Room | None = None


@dataclass(frozen=True, slots=True)
class _Index:
    """What an index says: the length of the room, its streams, and how many of them there are at once on average."""

    length_s: float
    streams: int
    at_once: float


class Guesser:
    """Guesses what jobs take; what is broken takes little. A file that many jobs share is read once.

    Args:
        index_keys: where indexes are, by the settings.
    """

    def __init__(self, index_keys: Sequence[str]) -> None:
        self._index_keys = index_keys
        self._read = lru_cache(KEPT_FILES)(read_job_file)
        self._measured = lru_cache(_KEPT_INDEXES)(_measured_file)

    def guess(self, job: BatchJob) -> Guess:
        """Guess what ``job`` takes."""
        try:
            document = self._read(job.cfg).document(job.overrides)
        except OSError:
            document = None
        if not document:
            return Guess()
        width, height = (_number(document, f"{_VIDEO}.{side}", _LARGEST_PX) for side in ("Width", "Height"))
        pixels = width * height
        folder = _folder(job, document)
        index = self._index(job, document, folder)
        streams = index.streams if index else 4
        memory = MAIN_BYTES + WORKER_BYTES + int(pixels * _PIXEL_BYTES) + min(streams, _MOST_DECODERS) * _DECODER_BYTES
        if index is None:
            return Guess(memory_bytes=memory)
        kbps = _number(document, f"{_VIDEO}.BitRate", 10**6) or _OUTPUT_KBPS
        fetched = 0 if folder else index.streams * index.length_s * _INPUT_KBPS * 1000 / 8
        disk = index.length_s * kbps * 1000 / 8 * _KEPT + fetched
        per_s = 0.05 + pixels / 1e6 * (0.3 + 0.05 * min(streams, _MOST_DECODERS))
        fps = _number(document, f"{_VIDEO}.Fps", _HIGHEST_FPS) or _USUAL.output_fps
        room = Room(min(index.at_once, _MOST_DECODERS), output_px=int(pixels) or _USUAL.output_px, output_fps=fps)
        return Guess(index.length_s, index.length_s * per_s, memory, int(disk), room)

    def _index(self, job: BatchJob, document: Mapping[str, Any], folder: Path | None) -> _Index | None:
        """What the index says, if it lies in a folder; ``folder`` is that of the recordings."""
        named = job.index or _text(document, "Data.InputConfig.Index")
        if named and is_local_path(named) and job.index:
            candidates = [Path(named)]
        elif folder is None:
            return None
        else:
            job_id = _text(document, "Internal.JobId")
            keys = [named] if named else [key.replace("$JobId", job_id) for key in self._index_keys]
            candidates = [folder / key.lstrip("/") for key in keys]
        for path in candidates:
            with suppress(OSError):
                return self._measured(path, folder)
        return None


def _measured_file(path: Path, folder: Path | None) -> _Index | None:
    """What the index at ``path`` says.

    Raises:
        OSError: it cannot be read.
    """
    return _measured(read_named_file(path, _LARGEST_INDEX_BYTES), folder)


def _folder(job: BatchJob, document: Mapping[str, Any]) -> Path | None:
    """The folder of the recordings; None when they are in a store."""
    storage = _INPUT_STORAGE if isinstance(_at(document, _INPUT_STORAGE), dict) else _STORAGE
    if _text(document, f"{storage}.Vendor").lower() != "local":
        return None
    folder = job.cfg.parent / _text(document, f"{storage}.Bucket")
    return None if unfit_path(str(folder)) else folder


def _measured(data: bytes, folder: Path | None) -> _Index | None:
    """What an index says; sizes are those of the files in ``folder``."""
    try:
        index = json.loads(data)
        files = [file for file in index["Files"] if isinstance(file, dict)][:MAX_RECORDINGS]
        root = str(index.get("Root") or "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    times = [time for file in files for key in ("StartTime", "EndTime") if (time := _time(file, key)) is not None]
    if not times:
        return None
    step_s = _step_s(times)
    sizes = [_size(folder, root, file) for file in files]
    spans = sorted(_spans(files, sizes, step_s))
    length_s = max(end for _, _, end in spans) - min(start for _, start, _ in spans) if spans else 0.0
    streams = {str(file.get("StreamId")) for file in files}
    at_once = _seconds_of_streams(spans) / length_s if length_s > 0 else float(len(streams))
    return _Index(min(max(length_s, 0.0), _LONGEST_S), len(streams), at_once)


def _seconds_of_streams(spans: Sequence[tuple[str, float, float]]) -> float:
    """How long all streams last together; what one has twice at a time, as sound and picture apart, counts once.

    Args:
        spans: sorted.
    """
    total_s, stream, until_s = 0.0, "", -math.inf
    for name, start, end in spans:
        if name != stream:
            stream, until_s = name, -math.inf
        total_s += max(0.0, end - max(start, until_s))
        until_s = max(until_s, end)
    return total_s


def _spans(
    files: Sequence[Mapping[str, Any]], sizes: Sequence[int], step_s: float
) -> Iterator[tuple[str, float, float]]:
    """The stream of each recording, and from when to when it lasts in seconds, by its size where nobody said."""
    for file, size in zip(files, sizes, strict=True):
        start, end = _time(file, "StartTime"), _time(file, "EndTime")
        if start is None:
            continue
        start_s = start * step_s
        end_s = end * step_s if end is not None and end > start else start_s + size * 8 / (_INPUT_KBPS * 1000)
        yield str(file.get("StreamId")), start_s, end_s


def _size(folder: Path | None, root: str, file: Mapping[str, Any]) -> int:
    if folder is None:
        return 0
    path = f"{folder}/{root}/{file.get('Name')}"
    if unfit_path(path):
        return 0
    try:
        return os.stat(path).st_size  # noqa: PTH116 - of ten thousand files
    except OSError:
        return 0


def _step_s(times: Sequence[float]) -> float:
    """The seconds of one step of the times (docs/semantics.md, "Time")."""
    latest = max(times)
    if latest >= EPOCH_MILLISECONDS_FROM:
        return 0.001
    if latest >= EPOCH_SECONDS_FROM or any(not time.is_integer() for time in times):
        return 1.0
    return 0.001


def _time(file: Mapping[str, Any], key: str) -> float | None:
    try:
        time = float(file[key])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return time if math.isfinite(time) and time >= 0 else None


def _at(document: Mapping[str, Any], path: str) -> Any:
    value: Any = document
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _text(document: Mapping[str, Any], path: str) -> str:
    value = _at(document, path)
    return value if isinstance(value, str) else ""


def _number(document: Mapping[str, Any], path: str, largest: int) -> float:
    value = _at(document, path)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= largest
    return float(value) if is_number else 0.0

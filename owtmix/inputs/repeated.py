"""Finds recordings that stand twice in the store: the same bytes, of one stream, at the same time."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

from owtmix.base.errors import InputError
from owtmix.base.file_version import unchanged
from owtmix.inputs.source_file import SourceFile
from owtmix.jobfile.index import Recording
from owtmix.media.file_view import FileView
from owtmix.plan.media_info import Probe
from owtmix.storage import tells_content

COMPARED_BYTES: Final = 1 << 20
"""At either end of files that are equal in all that was measured, before they are compared as a whole."""

MOST_BESIDE: Final = 64
"""So many takes that begin before one are compared with it. Those of the same content that count have less than half in
common with each other, so only a few are at the same time.
"""


def repeated_files(recordings: Sequence[Recording], files: Mapping[int, SourceFile]) -> dict[int, int]:
    """The numbers of ``files`` that repeat another one, with the number of that one, which lasts as long or longer.

    One repeats another when it has the same bytes, is of the same stream, and half of the shorter one is at the time of
    the other: else nothing of it may be lost.

    An index may name 10,000 files that are alike: only those with others at their time are read, and each once.
    """
    kinds, contents = _kinds(files), _Contents(files)
    takes = [_take(number, recordings[number], file.probe) for number, file in files.items()]
    groups = _parted([takes], lambda number: (recordings[number].stream, kinds[number]))
    for content in (contents.ends, contents.whole):
        met = [*map(_meeting, groups)]
        one = [group for group in met if len({files[take.number].path for take in group}) == 1]  # has one content
        groups = [*one, *_parted((group for group in met if group not in one), content)]
    return {repeated: counts for group in groups for repeated, counts in _repeats(group)}


def _parted(groups: Iterable[Sequence[_Take]], key: Callable[[int], object]) -> list[list[_Take]]:
    """``groups`` parted by a key of the numbers of their takes; those of a single one are left out."""
    found: list[list[_Take]] = []
    for group in groups:
        parts: dict[object, list[_Take]] = {}
        for take in group:
            parts.setdefault(key(take.number), []).append(take)
        found += (part for part in parts.values() if len(part) > 1)
    return found


def _meeting(takes: Sequence[_Take]) -> list[_Take]:
    """Those of ``takes`` that have time in common with another one."""
    ordered = sorted(takes, key=_start)
    found, latest_s = set(), None
    for take, following in zip(ordered, [*ordered[1:], None], strict=True):
        meets_earlier = latest_s is not None and take.start_s < latest_s
        if meets_earlier or (following and following.start_s < take.end_s):
            found.add(take.number)
        latest_s = take.end_s if latest_s is None else max(latest_s, take.end_s)
    return [take for take in takes if take.number in found]


def _repeats(takes: Sequence[_Take]) -> Iterator[tuple[int, int]]:
    """The numbers of those of ``takes``, which have the same content, that repeat another, with that one's number."""
    counting: list[_Take] = []
    for take in sorted(takes, key=lambda take: (-take.duration_s, take.number)):
        nearest = max(0, bisect_right(counting, take.start_s, key=_start) - MOST_BESIDE)
        beside = counting[nearest : bisect_left(counting, take.end_s, nearest, key=_start)]
        number = min((other.number for other in beside if other.repeats(take)), default=None)
        if number is None:
            insort(counting, take, key=_start)
        else:
            yield take.number, number


@dataclass(frozen=True, slots=True)
class _Take:
    """What is used of a file, in index time."""

    number: int
    start_s: Fraction
    end_s: Fraction

    @property
    def duration_s(self) -> Fraction:
        return self.end_s - self.start_s

    def repeats(self, other: _Take) -> bool:
        """Whether half of the shorter one is at the time of both."""
        common_s = min(self.end_s, other.end_s) - max(self.start_s, other.start_s)
        return common_s > 0 and 2 * common_s >= min(self.duration_s, other.duration_s)


def _take(number: int, recording: Recording, probe: Probe | None) -> _Take:
    file_ends_s = recording.start_s + (probe.span.duration if probe else Fraction(0))
    end_s = file_ends_s if recording.end_s is None else min(file_ends_s, recording.end_s)
    return _Take(number, recording.start_s, end_s)


def _start(take: _Take) -> Fraction:
    return take.start_s


def _kinds(files: Mapping[int, SourceFile]) -> dict[int, int]:
    """A number for each file, the same for those in which the same was measured. A long probe is looked at once."""
    by_probe: dict[Probe | None, int] = {}
    by_id: dict[int, int] = {}
    for file in files.values():
        if id(file.probe) not in by_id:
            by_id[id(file.probe)] = by_probe.setdefault(file.probe, len(by_probe))
    return {number: by_id[id(file.probe)] for number, file in files.items()}


class _Contents:
    """What is in ``files``, as keys that are equal where that is; what was read of each file is kept as a digest.

    Objects of a bucket are alike where their versions and sizes are equal, and say something. A file that is not as it
    was found is like no other.
    """

    def __init__(self, files: Mapping[int, SourceFile]) -> None:
        self._files = files
        self._digests: dict[tuple[Path, bool], bytes | None] = {}

    def ends(self, number: int) -> object:
        """A key of a file's size and ends."""
        return self._key(number, whole=False)

    def whole(self, number: int) -> object:
        """A key of all of a file."""
        return self._key(number, whole=True)

    def _key(self, number: int, *, whole: bool) -> object:
        file = self._files[number]
        if file.is_fetched:
            is_digest = file.copy.version is not None and tells_content(file.copy.version)
            return (file.copy.version, file.copy.size_bytes) if is_digest else file.path
        place = file.path, whole
        if place not in self._digests:
            try:
                self._digests[place] = _digest(file, whole=whole)
            except InputError:
                self._digests[place] = None  # whoever reads it next says so
        return number if self._digests[place] is None else self._digests[place]


def _digest(source: SourceFile, *, whole: bool) -> bytes:
    """Of the size of a file and its ends, or of all of it that holds packets.

    Raises:
        InputError: it is not there any more as it was found, or cannot be read.
        ShortageError: the machine is short of something.
    """
    with unchanged(source.path, source.file_version) as path, FileView(path) as file:
        size = file.whole_size
        digest = hashlib.sha256(f"{size} ".encode())
        if whole:
            ends = source.probe.end_bytes if source.probe else None
            for _ in range(0, size if ends is None else ends, COMPARED_BYTES):
                digest.update(file.read(COMPARED_BYTES))
        else:
            digest.update(file.read(COMPARED_BYTES))
            file.seek(max(0, size - COMPARED_BYTES))
            digest.update(file.read(COMPARED_BYTES))
        return digest.digest()

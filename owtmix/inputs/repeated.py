"""Finds recordings that stand twice in the store: the same bytes, of one stream, at the same time."""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from owtmix.base.errors import ChangedError
from owtmix.base.file_version import unchanged
from owtmix.base.ids import StreamId
from owtmix.base.shortage import raise_if_short
from owtmix.inputs.source_file import SourceFile
from owtmix.jobfile.index import Recording
from owtmix.plan.media_info import Probe

COMPARED_BYTES: Final = 1 << 20
"""At either end of files that are equal in size and in all that was measured."""


MOST_BESIDE: Final = 64
"""So many that begin before a file are compared with it."""


def repeated_files(recordings: Sequence[Recording], files: Mapping[int, SourceFile]) -> dict[int, int]:
    """The numbers of ``files`` that repeat another one, with the number of that one, which lasts as long or longer.

    Parts of one file, which the index ends, repeat each other where half of the shorter one is in the other: else
    nothing of them may be lost.

    An index may name 10,000 files that are alike: each is compared with those of its time only, and read once.
    """
    kinds = _kinds(files)
    alike: dict[tuple[StreamId, int], list[_Take]] = {}
    contents = _Contents(files)
    found: dict[int, int] = {}
    takes = (_take(number, recordings[number], file.probe) for number, file in files.items())
    for take in sorted(takes, key=lambda take: (-take.duration_s, take.number)):
        longer = alike.setdefault((recordings[take.number].stream, kinds[take.number]), [])
        # Those that are alike and are not the same may overlap, so the one before is not the only one to ask.
        nearest = max(0, bisect_right(longer, take.start_s, key=_start) - MOST_BESIDE)
        beside = longer[nearest : bisect_left(longer, take.end_s, nearest, key=_start)]
        same = (other.number for other in beside if other.repeats(take) and contents.same(other.number, take.number))
        number = min(same, default=None)
        if number is None:
            insort(longer, take, key=_start)
        else:
            found[take.number] = number
    return found


@dataclass(frozen=True, slots=True)
class _Take:
    """What is used of a file, in index time; ``is_part`` if the index ends it before the file does."""

    number: int
    start_s: Fraction
    end_s: Fraction
    is_part: bool

    @property
    def duration_s(self) -> Fraction:
        return self.end_s - self.start_s

    def repeats(self, other: _Take) -> bool:
        """Whether they are at the same time."""
        common_s = min(self.end_s, other.end_s) - max(self.start_s, other.start_s)
        shorter_s = min(self.duration_s, other.duration_s)
        return common_s > 0 and (2 * common_s >= shorter_s or not (self.is_part or other.is_part))


def _take(number: int, recording: Recording, probe: Probe | None) -> _Take:
    file_ends_s = recording.start_s + (probe.span.duration if probe else Fraction(0))
    end_s = file_ends_s if recording.end_s is None else min(file_ends_s, recording.end_s)
    return _Take(number, recording.start_s, end_s, end_s < file_ends_s)


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
    """Compares ``files``; what was read of each is kept as a digest."""

    def __init__(self, files: Mapping[int, SourceFile]) -> None:
        self._files = files
        self._digests: dict[int, bytes | None] = {}

    def same(self, first: int, second: int) -> bool:
        one, other = self._files[first], self._files[second]
        if one.copy.version is not None and one.copy.version == other.copy.version:
            return one.copy.size_bytes == other.copy.size_bytes
        if one.is_fetched or other.is_fetched:
            return False
        found = self._digest(first)
        return found is not None and found == self._digest(second)

    def _digest(self, number: int) -> bytes | None:
        """Of size and ends of a file; None when it is not as it was found: whoever reads it next says so."""
        if number not in self._digests:
            try:
                self._digests[number] = _digest(self._files[number])
            except (OSError, ChangedError) as error:
                raise_if_short(error)
                self._digests[number] = None
        return self._digests[number]


def _digest(source: SourceFile) -> bytes:
    """Of the size of a file, its first bytes and its last ones.

    Raises:
        OSError, ChangedError: it is not there any more as it was found.
    """
    with unchanged(source.path, source.file_version), source.path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest = hashlib.sha256(f"{size} ".encode())
        digest.update(file.read(COMPARED_BYTES))
        file.seek(max(0, size - COMPARED_BYTES))
        digest.update(file.read(COMPARED_BYTES))
        return digest.digest()

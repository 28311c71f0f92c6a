"""Finds recordings that stand twice in the store: the same bytes, of one stream, at the same time."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
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


def repeated_files(recordings: Sequence[Recording], files: Mapping[int, SourceFile]) -> dict[int, int]:
    """The numbers of ``files`` that repeat an earlier one, with the number of that one."""
    alike: dict[tuple[StreamId, Probe | None], list[int]] = {}
    found: dict[int, int] = {}
    for number in sorted(files):
        earlier = alike.setdefault((recordings[number].stream, files[number].probe), [])
        same = next((n for n in earlier if _overlap(recordings, files, n, number)), None)
        if same is None:
            earlier.append(number)
        else:
            found[number] = same
    return found


def _overlap(recordings: Sequence[Recording], files: Mapping[int, SourceFile], first: int, second: int) -> bool:
    probe = files[first].probe
    apart_s = abs(recordings[first].start_s - recordings[second].start_s)
    return probe is not None and apart_s < probe.span.duration and _same_content(files[first], files[second])


def _same_content(first: SourceFile, second: SourceFile) -> bool:
    if first.copy.version is not None and first.copy.version == second.copy.version:
        return first.copy.size_bytes == second.copy.size_bytes
    if first.is_fetched or second.is_fetched:
        return False
    try:
        return _ends(first) == _ends(second)
    except (OSError, ChangedError) as error:
        raise_if_short(error)
        return False  # whoever reads it next says so


def _ends(source: SourceFile) -> tuple[int, bytes, bytes]:
    """The size of a file, its first bytes and its last ones.

    Raises:
        OSError, ChangedError: it is not there any more as it was found.
    """
    with unchanged(source.path, source.file_version), source.path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(COMPARED_BYTES)
        file.seek(max(0, size - COMPARED_BYTES))
        return size, start, file.read(COMPARED_BYTES)

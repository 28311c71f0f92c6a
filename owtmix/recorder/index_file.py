"""The index of a room (API document, section 11.2), from what its sessions became."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Final

from owtmix.base.ids import StreamId
from owtmix.base.strict_json import CONTROL
from owtmix.jobfile.bounds import MAX_NAME
from owtmix.jobfile.index import Index, Recording
from owtmix.jobfile.index_writer import index_text
from owtmix.recorder.room_folder import RecordedFile

INDEX_FILE: Final = "index.json"


def room_index(
    job_id: str, room_id: str, files: Sequence[RecordedFile], user_names: Mapping[str, str], root: str
) -> bytes:
    """The index of ``files``, which lie in the folder ``root`` of a store, in order of their beginnings."""
    recordings = tuple(
        Recording(
            stream := StreamId.parse(file.stream),
            str(PurePosixPath(root) / file.name),
            Fraction(file.start_ms, 1000),
            Fraction(file.end_ms, 1000),
            CONTROL.sub(" ", user_names.get(stream.user, ""))[:MAX_NAME],
        )
        for file in sorted(files, key=lambda file: (file.start_ms, file.name))
    )
    return index_text(Index(job_id, room_id[:MAX_NAME], "epoch-milliseconds", recordings, ()), root)

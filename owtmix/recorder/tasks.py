"""The task that makes a recording, for a confined worker: what is in journals comes from strangers.

It imports what it needs when it runs: the parent never loads a media library.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from owtmix.base.errors import DestinationError, InputError
from owtmix.recorder.file_plan import FilePlan
from owtmix.recorder.made import Made
from owtmix.workers.base import Replies, TaskReporter
from owtmix.workers.made_files import check_made

IMPORTS: Final = ("av.subtitles.stream", "numpy.ma", "owtmix.recorder.recording_file")
"""What the task imports."""

_SLOWEST_BYTES_PER_S: Final = 100_000
_MOST_PACKETS: Final = 1 << 40
_MOST_TIMES: Final = 4
_MORE_BYTES: Final = 1 << 26
"""A file may be so many times longer than its journals, and have so much more: silence is encoded, too."""
_AAC_BYTES_PER_S: Final = 64_000


@dataclass(frozen=True, slots=True)
class RecordingTask:
    """Make the file ``path``, which exists, by ``plan``.

    Its journals have ``journal_bytes``, and ``arrived_us`` is when the first and the last record of its session came.
    """

    result: ClassVar = Made
    replies: ClassVar = Replies.of(InputError, DestinationError)
    plan: FilePlan
    path: Path
    journal_bytes: int
    arrived_us: tuple[int, int]

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def longest_s(self) -> float:
        """As ``Long.longest_s``."""
        return self.journal_bytes / _SLOWEST_BYTES_PER_S

    def check(self, value: Made) -> None:
        """As ``Bounded.check``: times are those of arrivals, so nothing in a journal can move a file elsewhere."""
        first_us, last_us = self.arrived_us
        earliest_us, latest_us = first_us - _SLACK_US, last_us + _SLACK_US
        if not earliest_us <= value.start_us < value.end_us <= latest_us:
            raise ValueError("is a file of another time")
        if not all(0 <= count <= _MOST_PACKETS for count in (value.pictures, value.packets, value.damaged)):
            raise ValueError("has a number of frames that no file has")
        silence_bytes = (latest_us - earliest_us) // 1_000_000 * _AAC_BYTES_PER_S
        check_made(self.path, self.journal_bytes * _MOST_TIMES + silence_bytes + _MORE_BYTES)

    def run(self, reporter: TaskReporter) -> Made:
        from owtmix.recorder.recording_file import make_recording  # noqa: PLC0415 - in the worker

        return make_recording(self.plan, self.path, reporter.advance)


_SLACK_US: Final = 10_000_000
"""Frames are up to five seconds late, and the last one may last a second."""


def journal_bytes(plan: FilePlan) -> int:
    """The size of all journals that a file is made of."""
    total = 0
    for track in (*plan.sounds, *([plan.picture] if plan.picture else [])):
        with suppress(OSError):
            total += track.path.stat().st_size
    return total

"""``python -m tests.support.live_journals FOLDER CLIP COUNT SECONDS``: journals that grow as those of a room do.

Each of COUNT sessions repeats the packets of CLIP in real time, without a network.
"""

from __future__ import annotations

import heapq
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

from owtmix.base.ids import StreamId
from owtmix.demo.publisher import PICTURE_HZ, SOUND_HZ, EncodedPacket, read_clip
from owtmix.recorder.journal import Codec, Frame, JournalHead, JournalWriter, Report

DELAY_US: Final = 20_000
_REPORT_EACH_US: Final = 1_000_000
_APART_US: Final = 37_000
"""Sessions begin so much after each other."""

Record = tuple[int, int, int, Frame | Report]
"""When it is written (us after the beginning), the number of its journal, its own number, and the record."""


def play(folder: Path, clip: Path, count: int, seconds: float) -> None:
    """Write the journals of ``count`` sessions into ``folder``, for so many seconds, and end them."""
    folder.mkdir(parents=True, exist_ok=True)
    found = read_clip(clip)
    codec: Codec = "h264" if found.codec == "H264" else "vp8"
    begun_us = time.time_ns() // 1000
    writers, records = [], []
    for number in range(count):
        kinds: tuple[tuple[Literal["video", "audio"], Codec, int, Sequence[EncodedPacket]], ...] = (
            ("video", codec, PICTURE_HZ, found.video),
            ("audio", "opus", SOUND_HZ, found.audio),
        )
        for kind, of, rate, packets in kinds:
            head = JournalHead(f"s{number}", StreamId.parse(f"user{number}_1"), kind, of, rate)
            writers.append(JournalWriter(folder / f"s{number}.{kind}.0.journal", head))
            records.append(_records(len(writers) - 1, rate, packets, begun_us, number * _APART_US))
    for at_us, writer, _, record in heapq.merge(*records, key=lambda entry: entry[:3]):
        if at_us > seconds * 1e6:
            break
        time.sleep(max(0.0, (begun_us + at_us) / 1e6 - time.time()))
        if isinstance(record, Frame):
            writers[writer].frame(record)
        else:
            writers[writer].report(record)
    for written in writers:
        written.end()


def _records(
    writer: int, rate: int, packets: Sequence[EncodedPacket], begun_us: int, later_us: int
) -> Iterator[Record]:
    first_s, lasts_s = packets[0].t_s, packets[-1].t_s - packets[-2].t_s
    length_s = packets[-1].t_s + lasts_s - first_s
    over_us = round(lasts_s * 1_000_000) if rate == SOUND_HZ else 0
    number, reported_us = 0, -_REPORT_EACH_US
    while True:
        rounds, n = divmod(number, len(packets))
        t_s = rounds * length_s + packets[n].t_s - first_s
        at_us = later_us + round(t_s * 1_000_000)
        rtp, arrived_us = round(t_s * rate), begun_us + at_us + over_us + DELAY_US
        yield at_us + over_us + DELAY_US, writer, 2 * number, Frame(rtp, arrived_us, packets[n].is_key, packets[n].data)
        if at_us - reported_us >= _REPORT_EACH_US:
            reported_us = at_us
            yield at_us + over_us + DELAY_US, writer, 2 * number + 1, Report(rtp, arrived_us, begun_us + at_us)
        number += 1


if __name__ == "__main__":
    _folder, _clip, _count, _seconds = sys.argv[1:]
    play(Path(_folder), Path(_clip), int(_count), float(_seconds))

"""How much CPU measuring a long WebM takes, and how much a second time."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av

from owtmix.media.probe import probe
from tests.support.people import person, record

TAKE_S = 30


def main(words: Sequence[str]) -> None:
    """Make a recording of some hours, VP8 and Opus, measure it, and print the CPU seconds.

    Args:
        words: the command line, without the program.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lab measuring", description=__doc__)
    parser.add_argument("--hours", type=float, default=10, help="length of the recording; 10 without")
    hours = parser.parse_args(words).hours
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.webm"
        _record(path, hours)
        start = time.process_time()
        found = probe(path)
        took_s = time.process_time() - start
        lasts = float(found.span.duration) / 3600
        print(f"{lasts:.2f} h, {path.stat().st_size / 1e6:.0f} MB: measured in {took_s:.2f} CPU s")
        start = time.process_time()
        with av.open(str(path)) as file:
            count = sum(1 for _ in file.demux())
        print(f"FFmpeg's demuxer alone, for comparison: {count} packets in {time.process_time() - start:.2f} CPU s")


def _record(path: Path, hours: float) -> None:
    """The same half minute again and again."""
    take = path.with_name("take.webm")
    record(person(0, 0, TAKE_S * 1000, 1000, 9000, fps=15, container="webm"), take)
    with av.open(str(take)) as source, av.open(str(path), "w", format="webm") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        packets = [
            (streams[p.stream.index], bytes(p), p.pts, p.is_keyframe)
            for p in source.demux()
            if p.pts is not None and p.size
        ]
        for round_ in range(round(hours * 3600 / TAKE_S)):
            for stream, data, pts, is_key in packets:
                packet = av.Packet(data)
                packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 1000), is_key
                packet.pts = packet.dts = pts + 10 + round_ * (TAKE_S * 1000 + 40)
                target.mux(packet)

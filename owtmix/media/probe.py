"""Measures a recording in one pass over its packets, decoding as little as possible.

Durations stated by containers are often wrong or missing; timestamps of packets are used instead.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from functools import reduce
from pathlib import Path
from typing import Final
from zlib import crc32

import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from owtmix.base.errors import InputError
from owtmix.base.time import timecode
from owtmix.media.block_scan import scan_blocks
from owtmix.media.bounded_file import MOST_UNUSED_BYTES, BoundedFile, bounded_file
from owtmix.media.file_clock import may_repeat, suspicious_steps, tell_time
from owtmix.media.open import is_cover, is_usable_stream, open_input, packets
from owtmix.media.partial_file import ByteRange, MissingBytesError, PartialFile
from owtmix.media.sound_meter import SoundMeter
from owtmix.media.track_meter import use_positions
from owtmix.media.video_meter import VideoMeter
from owtmix.plan.media_info import ClockRules, Damage, Probe

REPORT_EVERY_PACKETS: Final = 64
MATROSKA_TICK_S: Final = Fraction(1, 1000)
_RULES: Final = ClockRules()

Meter = VideoMeter | SoundMeter


def probe(
    path: Path,
    advance: Callable[[Fraction], None] = lambda _: None,
    *,
    parts: Sequence[ByteRange] | None = None,
    wholly: bool = False,
    rules: ClockRules = _RULES,
) -> Probe:
    """Measure a recording: its picture, and all its sounds. Of several pictures, uses the default one, else the first.

    Args:
        path: the file.
        advance: called with the file time (s) reached, every ``REPORT_EVERY_PACKETS``.
        parts: byte ranges that are present, in order and with gaps between them; None for the whole file. The result
            does not depend on them.
        wholly: decode all sound, to find damage.
        rules: when timestamps are not believed.

    Raises:
        InputError: the file cannot be opened, or has neither video nor audio that can be decoded.
        MissingBytesError: more than ``parts`` is needed.
    """
    with ExitStack() as open_files:
        partial = None if parts is None else open_files.enter_context(PartialFile(path, parts))
        bounded = None if partial else bounded_file(path)
        container = open_files.enter_context(open_input(path, partial=partial, bounded=bounded, is_measured=True))
        meters = {s.index: _meter(s, wholly=wholly) for s in container.streams if is_usable_stream(s)}
        if not meters:
            others = dict.fromkeys(_codec(s) for s in container.streams if s.type in {"video", "audio"})
            named = f" (found {', '.join(others)})" if others else ""
            raise InputError(f"holds no picture or sound of a codec that is accepted{named}")
        _check_missing(partial, meters.values())
        flaws = list(_refused_streams(container))
        reached, base = 0, Fraction(0)

        def end(problem: str) -> None:
            flaws.append(f"it is damaged at {timecode(reached * base)}, and ends there: {problem}")

        unreported = 0
        is_scanned = partial is not None or wholly or not _may_be_scanned(container, meters.values())
        for packet in _added_packets(container, meters, partial or bounded, end):
            unreported += 1
            if packet.pts is not None:
                reached, base = packet.pts, packet.time_base
                if unreported >= REPORT_EVERY_PACKETS:
                    unreported = 0
                    advance(reached * base)
                    if max(meter.media_s for meter in meters.values()) > rules.longest_s:
                        flaws.append(f"it is longer than {timecode(rules.longest_s)}: the rest is not measured")
                        break
            if not is_scanned and all(meter.settled for meter in meters.values()):
                is_scanned = True
                if _scan(path, meters.values(), lambda ticks: advance(ticks * MATROSKA_TICK_S)):
                    break
        end_bytes = bounded.end_bytes if bounded else None
        if end_bytes is not None:
            end(f"{MOST_UNUSED_BYTES >> 20} MiB follow without any picture or sound")
        found = [meter for meter in meters.values() if len(meter.table)]
        _tell_time(path, end_bytes, found, rules, is_partial=partial is not None)
        order = sorted(meters.values(), key=lambda m: (not m.stream.disposition & Disposition.default, m.stream.index))
        return replace(_measured(order, list(container.streams), flaws), end_bytes=end_bytes)


def _added_packets(
    container: InputContainer,
    meters: Mapping[int, Meter],
    file: PartialFile | BoundedFile | None,
    on_error: Callable[[str], None],
) -> Iterator[Packet[Stream]]:
    """The packets of a container that is read from ``file``, after they were added to ``meters``, by stream."""
    if isinstance(file, BoundedFile):
        file.note_opened()
    for packet in packets(container, *(meter.stream for meter in meters.values()), on_error=on_error):
        meters[packet.stream.index].add(packet)  # an empty packet has no stream_index
        if isinstance(file, PartialFile):
            _check_missing(file, meters.values())
        elif file and packet.size:
            file.note_packet(file.tell() if packet.pos is None else packet.pos, packet.size)
        yield packet


def _may_be_scanned(container: InputContainer, meters: Collection[Meter]) -> bool:
    """Whether the file's blocks may tell all that is left to measure after the first packets."""
    is_matroska = "matroska" in container.format.name
    return is_matroska and all(
        meter.table.time_base == MATROSKA_TICK_S and not meter.needs_decoding for meter in meters
    )


def _scan(path: Path, meters: Collection[Meter], advance: Callable[[int], None]) -> bool:
    """Measure the rest of a plain Matroska file from its blocks; returns whether that was possible."""
    blocks = scan_blocks(path, advance)
    if blocks is None:
        return False
    rests = []
    for meter in meters:
        latest = meter.latest
        assert latest
        (found,) = np.nonzero(blocks.positions == latest.pos)
        if len(found) != 1 or blocks.sizes[found[0]] != latest.size or latest.pts is None:
            return False
        (mine,) = np.nonzero(blocks.tracks == blocks.tracks[found[0]])
        if np.count_nonzero(mine <= found[0]) != meter.packets:
            return False
        rests.append((meter, latest.pts - int(blocks.ticks[found[0]]), mine[mine > found[0]]))
    for meter, shift, mine in rests:
        rest = blocks.only(mine)
        meter.extend(rest.ticks + shift, rest)
    return True


def _measured(meters: Sequence[Meter], others: Sequence[Stream], flaws: list[str]) -> Probe:
    """What ``meters``, in order of preference, have found; ``others`` are all streams of the file."""
    pictures = [(meter, shown) for meter in meters if isinstance(meter, VideoMeter) and (shown := meter.track())]
    sounds = [(meter, heard) for meter in meters if isinstance(meter, SoundMeter) and (heard := meter.track())]
    if not (pictures or sounds):
        raise InputError("holds no picture or sound that can be decoded")
    if not pictures and any(isinstance(meter, VideoMeter) for meter in meters):
        flaws.append("none of its pictures can be decoded")
    if not sounds and any(isinstance(meter, SoundMeter) for meter in meters):
        flaws.append("none of its sound can be decoded")
    video, rates_hz = pictures[0][1] if pictures else (None, None)
    used: list[Meter] = [*(meter for meter, _ in pictures[:1]), *(meter for meter, _ in sounds)]
    return Probe(
        video,
        tuple(track for _, (track, _) in sounds),
        start_s=min(meter.start_s for meter in used),
        rates_hz=rates_hz,
        audio_damage=reduce(Damage.joined, (damage for _, (_, damage) in sounds), Damage()),
        breaks=tuple(sorted((found for meter in used for found in meter.table.breaks()), key=lambda found: found.at_s)),
        flaws=tuple(flaws),
        unused=(
            *(f"the picture in stream {meter.stream.index} is not used: there is another" for meter, _ in pictures[1:]),
            *(f"stream {s.index} is not used: {s.type}" for s in others if s.type not in {"video", "audio"}),
            *(f"stream {s.index} is not used: a cover picture" for s in others if is_cover(s)),
        ),
    )


def _tell_time(
    path: Path, end_bytes: int | None, meters: Sequence[Meter], rules: ClockRules, *, is_partial: bool
) -> None:
    """Correct the times of ``meters``, which have packets, by the file's clock; none lies behind ``end_bytes``."""
    use_positions([meter.table for meter in meters])
    logs = {meter: meter.log() for meter in meters}
    doubtful = [meter for meter, log in logs.items() if suspicious_steps(log, rules) or may_repeat(log)]
    if doubtful:
        if is_partial:
            raise MissingBytesError(None)
        _read_contents(path, end_bytes, doubtful)
    for meter, time in zip(meters, tell_time([meter.log() for meter in meters], rules), strict=True):
        if time.breaks or time.dropped.any():
            meter.table.set_time(time)


def _read_contents(path: Path, end_bytes: int | None, meters: Sequence[Meter]) -> None:
    """Tell the packets of ``meters`` apart by their content: where timestamps step back there may be copies."""
    contents = {meter.stream.index: array("q") for meter in meters}
    with open_input(path, end_bytes=end_bytes, is_measured=True) as container:
        streams = [stream for stream in container.streams if stream.index in contents]
        for packet in packets(container, *streams):
            if packet.size:
                contents[packet.stream.index].append(crc32(packet))
    for meter in meters:
        meter.table.set_contents(contents[meter.stream.index])


def _check_missing(partial: PartialFile | None, meters: Collection[Meter]) -> None:
    """Check that no missing bytes were read. Once nothing more needs decoding, reads may return zeros.

    Raises:
        MissingBytesError: missing bytes were read, or will be.
    """
    if not partial:
        return
    if any(meter.needs_all for meter in meters):
        raise MissingBytesError(None)
    partial.check()
    partial.zero_fill = all(meter.settled for meter in meters)


def _refused_streams(container: InputContainer) -> Iterator[str]:
    """A sentence for each video or audio stream of a codec that is not accepted."""
    for stream in container.streams:
        if stream.type in {"video", "audio"} and not is_usable_stream(stream) and not is_cover(stream):
            kind = "picture" if stream.type == "video" else "sound"
            yield f"its {kind} in stream {stream.index} is of a codec that is not accepted ({_codec(stream)})"


def _codec(stream: Stream) -> str:
    """The name of a stream's codec, also if FFmpeg has no decoder for it."""
    return stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"


def _meter(stream: Stream, *, wholly: bool) -> VideoMeter | SoundMeter:
    if isinstance(stream, VideoStream):
        return VideoMeter(stream)
    assert isinstance(stream, AudioStream)
    return SoundMeter(stream, wholly=wholly)

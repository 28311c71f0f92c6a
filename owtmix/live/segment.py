"""A finished chunk as FLV, which is what RTMP carries: every server takes its tags as they are."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from owtmix.live.sound_packets import PACKET_SAMPLES, PRIMING_PACKETS
from owtmix.media.writers import TRACK_FORMAT, encoding_errors
from owtmix.plan.model import SAMPLE_RATE_HZ, AudioEncoding

_LAYOUTS: Final = {1: "mono", 2: "stereo"}
_OPTIONS: Final = {"flvflags": "no_duration_filesize", "fflags": "+bitexact"}

Timed = tuple[Fraction, int, "Packet[Stream]"]


def write_segment(
    path: Path,
    track: Path | None,
    first_s: Fraction,
    sound: AudioEncoding | None,
    packets: Sequence[bytes],
    first_packet: int,
) -> None:
    """Write the file ``path``, which exists: the picture of ``track``, which begins at ``first_s``, and sound.

    Timestamps count from the beginning of the mix. ``packets`` are those of ``sound`` from number ``first_packet`` on.

    Raises:
        RenderError: the track cannot be read.
        DestinationError: the disk takes no more.
    """
    with encoding_errors(path, *([track] if track else [])), ExitStack() as opened:
        out = opened.enter_context(av.open(str(path), "w", format="flv", options=_OPTIONS))
        timed: list[Timed] = []
        if track:
            source = opened.enter_context(av.open(str(track), format=TRACK_FORMAT))
            timed += _picture(source, out, first_s)
        if sound:
            timed += _sound(out, sound, packets, first_packet)
        for _, _, packet in sorted(timed, key=lambda entry: entry[:2]):
            out.mux(packet)


def sound_stream(out: OutputContainer, encoding: AudioEncoding) -> Stream:
    """A stream for packets that are encoded already. Its encoder is never used: it describes the track."""
    stream = out.add_stream("aac", rate=SAMPLE_RATE_HZ)
    stream.codec_context.layout = _LAYOUTS[encoding.channels]
    stream.codec_context.bit_rate = encoding.bit_rate_kbps * 1000
    return stream


def _picture(source: InputContainer, out: OutputContainer, first_s: Fraction) -> list[Timed]:
    stream = out.add_stream_from_template(source.streams.video[0], opaque=True)
    found: list[Timed] = []
    for packet in source.demux(source.streams.video[0]):
        if packet.size and packet.pts is not None and packet.dts is not None:
            shift = int(first_s / packet.time_base)
            packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            packet.stream = stream
            found.append((packet.dts * packet.time_base, 0, packet))  # type: ignore[arg-type]
    return found


def _sound(out: OutputContainer, encoding: AudioEncoding, packets: Sequence[bytes], first: int) -> list[Timed]:
    stream = sound_stream(out, encoding)
    found: list[Timed] = []
    for number, data in enumerate(packets, first):
        if number < PRIMING_PACKETS:
            continue
        packet: Packet[Stream] = Packet(data)
        packet.stream, packet.time_base = stream, Fraction(1, SAMPLE_RATE_HZ)
        packet.pts = packet.dts = (number - PRIMING_PACKETS) * PACKET_SAMPLES
        packet.duration = PACKET_SAMPLES
        found.append((packet.dts * packet.time_base, 1, packet))
    return found

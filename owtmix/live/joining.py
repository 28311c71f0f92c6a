"""The chunks of a live mix become one file, in a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
from av.packet import Packet
from av.stream import Stream

from owtmix.live.segment import sound_stream
from owtmix.live.sound_packets import PACKET_SAMPLES, PRIMING_PACKETS, read_packets
from owtmix.media.writers import TRACK_FORMAT, encoding_errors, sync_file
from owtmix.outputs.mux import ChunkTrack, join_tracks, metadata_of
from owtmix.outputs.verify import verify
from owtmix.plan.model import SAMPLE_RATE_HZ, AudioEncoding, RenderPlan


def join_mix(
    plan: RenderPlan,
    chunks: Sequence[tuple[Path, range]],
    sounds: Sequence[Path],
    bench: Path,
    path: Path,
    heartbeat: Callable[[], None],
) -> None:
    """Write the file ``path`` from ``chunks`` of the picture and their ``sounds``, and read it back.

    Raises:
        RenderError: they are not as planned.
        DestinationError: the disk takes no more.
    """
    sound = None
    if plan.sound:
        sound = bench / "sound.mp4"
        _write_sound(sound, plan.sound.encoding, chain.from_iterable(map(read_packets, sounds)), heartbeat)
    fps = plan.picture.clock.fps if plan.picture else 1
    join_tracks([ChunkTrack(track, frames, fps) for track, frames in chunks], sound, path, "mp4", metadata_of(plan))
    heartbeat()
    verify(path, plan.picture, plan.sound)
    sync_file(path)


def _write_sound(path: Path, encoding: AudioEncoding, packets: Iterator[bytes], heartbeat: Callable[[], None]) -> None:
    with encoding_errors(path), av.open(str(path), "w", format=TRACK_FORMAT, options={"fflags": "+bitexact"}) as out:
        stream = sound_stream(out, encoding)
        for number, data in enumerate(packets):
            packet: Packet[Stream] = Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, SAMPLE_RATE_HZ)
            packet.pts = packet.dts = (number - PRIMING_PACKETS) * PACKET_SAMPLES
            packet.duration = PACKET_SAMPLES
            out.mux(packet)
            heartbeat()

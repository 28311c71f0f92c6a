"""The chunks of a live mix become one file, in a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet
from av.stream import Stream

from owtmix.live.segment import sound_stream
from owtmix.live.sound_packets import PACKET_SAMPLES, PRIMING_PACKETS, read_packets
from owtmix.live.tasks import JoinedSound, JoinTask
from owtmix.media.writers import TRACK_FORMAT, encoding_errors, sync_file
from owtmix.outputs.mux import ChunkTrack, join_tracks, metadata_of
from owtmix.outputs.verify import verify
from owtmix.plan.model import SAMPLE_RATE_HZ, SoundPlan


def join_mix(task: JoinTask, heartbeat: Callable[[], None]) -> None:
    """Do ``task``.

    Raises:
        RenderError: the chunks are not as planned.
        DestinationError: the disk takes no more.
    """
    plan, sound = task.plan, None
    if plan.sound:
        sound = task.bench / "sound.mp4"
        _write_sound(sound, plan.sound, task.sound, heartbeat)
    fps = plan.picture.clock.fps if plan.picture else 1
    chunks = [ChunkTrack(track, frames, fps) for track, frames in task.chunks]
    join_tracks(chunks, sound, task.path, "mp4", metadata_of(plan))
    heartbeat()
    verify(task.path, plan.picture, plan.sound)
    sync_file(task.path)


def _write_sound(path: Path, plan: SoundPlan, sound: JoinedSound, heartbeat: Callable[[], None]) -> None:
    """Write a track of the packets that hold the samples of a file; one more before them, which the decoder needs."""
    first = sound.first // PACKET_SAMPLES
    end = -(-(sound.first + plan.samples) // PACKET_SAMPLES) + PRIMING_PACKETS
    with encoding_errors(path), av.open(str(path), "w", format=TRACK_FORMAT, options={"fflags": "+bitexact"}) as out:
        stream = sound_stream(out, plan.encoding)
        for number, data in _numbered(sound):
            if not first <= number < end:
                continue
            packet: Packet[Stream] = Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, SAMPLE_RATE_HZ)
            packet.pts = packet.dts = (number - PRIMING_PACKETS) * PACKET_SAMPLES - sound.first
            packet.duration = PACKET_SAMPLES
            out.mux(packet)
            heartbeat()


def _numbered(sound: JoinedSound) -> Iterator[tuple[int, bytes]]:
    for path, first in sound.files:
        yield from enumerate(read_packets(path), first)

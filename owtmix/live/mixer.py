"""Composes and mixes the chunks of a live room, in a worker that keeps what is open from one to the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import closing, suppress
from fractions import Fraction
from itertools import chain, islice
from typing import Final

import av
from av.packet import Packet
from av.stream import Stream

from owtmix.base.errors import InputError
from owtmix.base.geometry import Orientation
from owtmix.base.shortage import raise_if_short
from owtmix.inputs.image_files import MappedImages
from owtmix.live.journal_sources import JournalSources, OpenJournals
from owtmix.live.live_plan import Head
from owtmix.live.mixed_sound import RUN_UP, MixedSound
from owtmix.live.segment import write_segment
from owtmix.live.sound_packets import write_packets
from owtmix.live.tasks import Mixed, MixTask
from owtmix.media.open import limit_decoder
from owtmix.media.video_frame import describe_frame
from owtmix.media.writers import sync_file
from owtmix.plan.model import RenderPlan, SoundPlan
from owtmix.recorder.file_plan import Track
from owtmix.recorder.journal import Frame
from owtmix.recorder.journal_scan import media_frames
from owtmix.recorder.key_frame import open_journal, picture_head
from owtmix.render.audio_mix import MixObserver
from owtmix.render.context import RenderContext
from owtmix.render.limiter import BLOCK
from owtmix.render.results import LONGEST_REASON
from owtmix.render.video_track import VideoTrackMaker
from owtmix.workers.base import TaskReporter


class Mixer:
    """Makes chunks in rising order. One that does not follow the last one is begun anew."""

    def __init__(self) -> None:
        self._opened = OpenJournals()
        self._sound: MixedSound | None = None

    def mix(self, task: MixTask, reporter: TaskReporter) -> Mixed:
        """Do ``task``.

        Raises:
            MixError: as ``VideoTrackMaker`` and ``MixedSound`` do.
        """
        sources = JournalSources(task.sources, self._opened)
        problems: dict[str, str] = {}
        if task.plan.picture:
            context = RenderContext(task.plan, sources, MappedImages(task.images))
            with closing(VideoTrackMaker(context, task.threads, reporter.heartbeat)) as maker:
                made = maker.make(task.frames, task.track, lambda t: reporter.advance(float(t)))
            for source, failure in made.failures.items():
                problems[task.sources[source].plan.name] = failure.reason
        packets: list[bytes] = []
        first_packet = task.next_packet
        if task.plan.sound:
            first_packet, packets = self._mixed(task, task.plan.sound, sources, problems, reporter)
        write_packets(task.sound, packets)
        track = task.track if task.plan.picture else None
        encoding = task.plan.sound.encoding if task.plan.sound else None
        write_segment(task.segment, track, task.span[0], encoding, packets, first_packet)
        for path in (task.sound, task.segment, *([track] if track else [])):
            sync_file(path)
        self._opened.keep([task.sources[number] for number in used_sources(task.plan)])
        return Mixed(first_packet, len(packets), problems)

    def _mixed(
        self,
        task: MixTask,
        sound: SoundPlan,
        sources: JournalSources,
        problems: dict[str, str],
        reporter: TaskReporter,
    ) -> tuple[int, list[bytes]]:
        """The number of the first packet, and the packets."""

        def on_warning(source: int, problem: str) -> None:
            problems.setdefault(task.sources[source].plan.name, problem[:LONGEST_REASON])

        observer = MixObserver(on_warning)
        mixed = self._sound
        self._sound = None
        if mixed is None or (mixed.next, mixed.next_packet) != (task.samples.start, task.next_packet):
            self._opened.close_sounds()
            mixed = MixedSound(sound.encoding, max(0, task.samples.start - RUN_UP) // BLOCK * BLOCK)
        number = mixed.next_packet
        packets = []
        for packet in mixed.mix(sound, sources, task.samples.stop, observer):
            packets.append(packet)
            reporter.heartbeat()
        if task.is_last:
            packets += mixed.finish()
        else:
            self._sound = mixed
        known = max(0, task.next_packet - number)
        return number + known, packets[known:]


_MOST_TRIED: Final = 20
"""Key frames at the beginning of a journal, and as many at its end by now."""

MIXER: Final = Mixer()
"""That of this process."""


def head_of(track: Track) -> Head:
    """What a key frame of a journal tells.

    Raises:
        InputError: none tells it by now.
    """
    head, skipped = picture_head(track)
    with head, open_journal(track) as reader:
        stream = head.streams.video[0]
        limit_decoder(stream.codec_context)
        keys = (frame for number, frame in enumerate(media_frames(reader)) if number >= skipped and frame.is_key)
        first = islice(keys, _MOST_TRIED)
        for frame in chain(first, _last(keys)):
            packet: Packet[Stream] = Packet(frame.data)
            packet.pts, packet.time_base = 0, Fraction(1, 1000)
            try:
                decoded = [*stream.codec_context.decode(packet), *stream.codec_context.decode(None)]
            except av.error.FFmpegError as error:
                raise_if_short(error)
                decoded = []
            with suppress(ValueError):
                stream.codec_context.flush_buffers()
            if decoded:
                found = describe_frame(decoded[0], stream, Orientation.UPRIGHT)
                return Head(found.displayed, found.matrix)
    raise InputError("no key frame of it can be shown by now")


def _last(frames: Iterator[Frame]) -> Iterator[Frame]:
    yield from deque(frames, _MOST_TRIED)


def used_sources(plan: RenderPlan) -> set[int]:
    """The numbers of the sources that are seen or heard."""
    shots = (shot for shots in (plan.picture.shots.values() if plan.picture else ()) for shot in shots)
    placed = plan.sound.placements if plan.sound else ()
    return {shot.source for shot in shots if shot.source is not None} | {one.source for one in placed}

"""What is known by now of a room that is still recorded: the files that its sessions are becoming."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from owtmix.base.ids import StreamId
from owtmix.base.shortage import raise_if_short
from owtmix.live.track_log import US, LiveTrack
from owtmix.recorder.clock import fixed_clock, place
from owtmix.recorder.file_plan import FileFormats, FilePlan, Track, plan_files
from owtmix.recorder.finalise import LATER_US
from owtmix.recorder.journal import JournalError
from owtmix.recorder.opus_packet import LOOKAHEAD, RATE_HZ
from owtmix.recorder.picture_times import PICTURE_HZ, ticks
from owtmix.recorder.room_folder import RoomFolder
from owtmix.render.callbacks import Heartbeat

PATIENCE_US: Final = 2_500_000
"""So long the first reports of the clocks of a session are waited for."""
CHECKED_US: Final = 10_000_000
"""How often it is looked at whether clocks are right."""
WRITTEN_US: Final = 1_500_000
"""After it came, a record is in its journal."""


@dataclass(frozen=True, slots=True)
class LiveFile:
    """A file that a session is becoming, as it is known by now; times are microseconds since 1970.

    ``plan`` says how it will be made, of ``picture`` and ``sounds``. It ends at ``end_us``; None while it is written.
    """

    plan: FilePlan
    stream: str
    start_us: int
    end_us: int | None
    picture: LiveTrack | None
    sounds: tuple[LiveTrack, ...]

    @property
    def is_screen(self) -> bool:
        """Whether it is of a shared screen."""
        return StreamId.parse(self.stream).is_screen

    def from_us(self, begun_us: int) -> LiveFile:
        """The part of it from then on. What is a millisecond before is of then, in which an index counts."""
        return self if self.start_us > begun_us - 1000 else replace(self, start_us=begun_us)

    def until_us(self, most_us: int) -> LiveFile:
        """The part of it before then, where it has ended."""
        return self if self.end_us is None or self.end_us <= most_us else replace(self, end_us=most_us)


class RoomLog:
    """The journals of a room, read as they grow.

    Args:
        folder: of the room.
        formats: of its recordings.
        gone_us: a session of which nothing was heard for so long is over, whatever its journals say.
    """

    def __init__(self, folder: RoomFolder, formats: FileFormats, gone_us: int) -> None:
        self._folder = folder
        self._formats = formats
        self._gone_us = gone_us
        self._sessions: dict[str, dict[Path, LiveTrack]] = {}
        self._checked_us: dict[str, int] = {}

    def read(self, edge_us: int, heartbeat: Heartbeat) -> None:
        """Read what was written since. Composing goes on at ``edge_us``.

        Raises:
            ShortageError: the machine is short of something.
        """
        for session, journals in self._folder.sessions().items():
            tracks = self._sessions.setdefault(session, {})
            for path in journals:
                if path not in tracks and (track := self._opened(path)):
                    tracks[path] = track
        for tracks in self._sessions.values():
            for track in tracks.values():
                track.read(edge_us, heartbeat)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was received that can be used."""
        return not any(track.has_begun for track in self._tracks())

    def fix(self, now_us: int, edge_us: int | None, wait_us: int = 0) -> bool:
        """Fix the clocks of sessions that are known well enough, and set others right after ``edge_us``.

        ``edge_us`` is where composing goes on; None before it has begun, which is with the first frame.

        Returns:
            Whether all clocks are fixed of what had begun ``wait_us`` after that: who came later holds nobody up.
        """
        all_fixed = True
        firsts = (track.log.first_arrived_us for track in self._tracks() if track.has_begun)
        late_us = (min(firsts, default=0) if edge_us is None else edge_us) + wait_us
        for session, tracks in self._sessions.items():
            begun = [track for track in tracks.values() if track.has_begun]
            missing = [track for track in begun if not track.is_fixed]
            if unknown := [track for track in missing if not self._is_known(track, now_us)]:
                all_fixed &= all(track.log.first_arrived_us > late_us for track in unknown)
                continue
            is_checked = edge_us is not None and edge_us >= self._checked_us.get(session, 0) + CHECKED_US
            if not (missing or is_checked):
                continue
            clocks = dict(zip(begun, place([track.log for track in begun]), strict=True))
            if edge_us is not None and is_checked:
                self._checked_us[session] = edge_us
                for track in begun:
                    if track.is_fixed:
                        track.set_right(clocks[track], edge_us)
            for track in missing:
                track.fix(clocks[track])
        return all_fixed

    def advance(self, edge_us: int) -> None:
        """Look at all frames that were captured before ``edge_us``."""
        for track in self._tracks():
            if track.is_fixed:
                track.advance(edge_us)

    def first_us(self) -> int | None:
        """When the first frame was captured; None where none is known."""
        self.advance(0)
        firsts = (track.captured.first_us or track.coming_us for track in self._tracks())
        return min((first_us for first_us in firsts if first_us is not None), default=None)

    def files(self, now_us: int) -> list[LiveFile]:
        """The files that sessions are becoming, whose clocks are fixed, of the frames that were looked at."""
        found = []
        for tracks in self._sessions.values():
            fixed = {path: track for path, track in tracks.items() if track.is_fixed}
            if fixed:
                found += self._session_files(fixed, now_us)
        return found

    def is_over(self, now_us: int) -> bool:
        """Whether all of a room that is not received any more was read: where a writer was killed there is no end."""
        return all(track.has_ended or now_us - track.log.last_arrived_us > WRITTEN_US for track in self._tracks())

    def _tracks(self) -> list[LiveTrack]:
        return [track for tracks in self._sessions.values() for track in tracks.values()]

    def _opened(self, path: Path) -> LiveTrack | None:
        """A journal that was begun; None where it is none, or not yet."""
        try:
            return LiveTrack(path)
        except JournalError:
            return None
        except OSError as error:
            raise_if_short(error)
            return None

    def _is_known(self, track: LiveTrack, now_us: int) -> bool:
        return bool(track.log.reports) or track.has_ended or now_us - track.log.first_arrived_us > PATIENCE_US

    def _is_open(self, tracks: Collection[LiveTrack], now_us: int) -> bool:
        last_us = max((track.log.last_arrived_us for track in tracks), default=0)
        return not all(track.has_ended for track in tracks) and now_us - last_us < self._gone_us

    def _session_files(self, tracks: Mapping[Path, LiveTrack], now_us: int) -> list[LiveFile]:
        plans, _ = plan_files([track.scan() for track in tracks.values()], self._formats)
        is_open = self._is_open(tracks.values(), now_us)
        found = []
        for whole in plans:
            plan = _slim(whole)
            picture = tracks[plan.picture.path] if plan.picture else None
            sounds = tuple(tracks[sound.path] for sound in plan.sounds)
            starts = [track.captured.first_us for track in (picture, *sounds) if track]
            begun = [start for start in starts if start is not None]
            if not begun:
                continue
            start_us = max(min(begun), plan.from_us or 0)
            ends = not is_open or plan.until_us is not None
            end_us = self._end_us(plan, start_us, picture, sounds) if ends else None
            stream = str((picture or sounds[0]).head.stream)
            found.append(LiveFile(plan, stream, start_us, end_us, picture, sounds))
        return found

    def _end_us(self, plan: FilePlan, start_us: int, picture: LiveTrack | None, sounds: Sequence[LiveTrack]) -> int:
        """When a file ends, as ``track_writers`` and ``finalise`` have it."""
        ends = [start_us + 1]
        if picture and picture.captured.first_us is not None:
            hz = PICTURE_HZ[plan.container]
            before, last = (ticks(at - start_us, hz) for at in (picture.captured.before_us, picture.captured.last_us))
            lasts = min(last - before if last > before else hz // 30, hz)
            ends.append(start_us + (last + lasts) * US // hz)
        for sound in sounds:
            if sound.captured.first_us is not None:
                late_us = LOOKAHEAD * US // RATE_HZ if sound.head.codec == "opus" else 0
                ends.append(sound.captured.until_us - late_us)
        end_us = min(max(ends), plan.until_us or max(ends))
        return plan.heard_us if plan.heard_us - end_us > LATER_US else end_us


def _slim(plan: FilePlan) -> FilePlan:
    """The plan with clocks that know only what was fixed: the others grow with the room."""
    picture = _fixed(plan.picture) if plan.picture else None
    return replace(plan, picture=picture, sounds=tuple(map(_fixed, plan.sounds)))


def _fixed(track: Track) -> Track:
    return replace(track, clock=fixed_clock(track.clock.rate, track.clock.knots))

"""The tasks that read inputs: they measure recordings and decode watermark images.

Each imports what it needs when it runs: the parent never loads a media library.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Final

from owtmix.base.errors import ChangedError, DestinationError, InputError
from owtmix.base.file_version import unchanged
from owtmix.base.geometry import Size
from owtmix.base.own_files import make_own
from owtmix.plan.media_info import ClockRules, Probe
from owtmix.plan.plausible import check_bounds, check_probe
from owtmix.plan.voice import Voice, check_voice
from owtmix.storage import disk_error
from owtmix.workers.base import Replies, TaskReporter
from owtmix.workers.made_files import size_of_made

MOST_PROBE_BYTES: Final = 16 << 20
"""Of a measurement as JSON: a sound in a hundred thousand pieces takes less."""
SLOWEST_BYTES_PER_S: Final = 100_000
"""Of a recording that is decoded, on the slowest machine."""
MOST_MEASURING_S: Final = 24 * 3600.0
SLOWEST_SOUND: Final = 0.05
"""Seconds for a second of a recording's sound, and for one of the mix: ten times of what a slow one takes."""
MOST_VOICE_BYTES: Final = 16 << 20
"""Of a voice as JSON: a day of it, without a pause, takes half."""
CHANNELS: Final = 4
"""Of a decoded image."""


@dataclass(frozen=True, slots=True)
class NeedsBytes:
    """The task needs the file's bytes from ``at`` on; all of them if None."""

    at: int | None


@dataclass(frozen=True, slots=True)
class Heard:
    """A recording that was measured, and listened to."""

    probe: Probe
    voice: Voice


@dataclass(frozen=True, slots=True)
class ProbeTask:
    """Measure a recording, the caller's ``number``; with ``wholly`` it is decoded to the end.

    The voice in its first ``listens_s`` seconds is found, too, if it has any sound: in the same process, which costs
    less.

    ``rules`` say when timestamps are not believed.
    ``parts`` are the ranges of the file that were fetched, sorted and disjoint; None when the file is complete.
    ``version`` is expected of the file from the beginning to the end. ``owner`` is whose recording it is: no process
    measures those of two owners.
    """

    result: ClassVar[Any] = Heard | Probe | NeedsBytes
    replies: ClassVar = Replies.of(InputError, ChangedError, result_bytes=MOST_PROBE_BYTES + MOST_VOICE_BYTES)
    number: int
    name: str
    path: Path
    rules: ClockRules
    wholly: bool = False
    parts: tuple[tuple[int, int], ...] | None = None
    version: str | None = None
    owner: str = ""
    listens_s: Fraction = Fraction(0)

    def check(self, value: Heard | Probe | NeedsBytes) -> None:
        """As ``Bounded.check``."""
        if isinstance(value, Heard):
            check_probe(value.probe)
            check_voice(value.voice)
        elif isinstance(value, Probe):
            check_probe(value)
        else:
            check_bounds(value)

    @property
    def longest_s(self) -> float:
        """As ``Long.longest_s``."""
        with suppress(OSError):
            return min(self.path.stat().st_size / SLOWEST_BYTES_PER_S, MOST_MEASURING_S)
        return 0.0

    def run(self, reporter: TaskReporter) -> Heard | Probe | NeedsBytes:
        with unchanged(self.path, self.version) as path:
            found = self._measured(path, reporter)
            if not (self.listens_s and isinstance(found, Probe) and found.sounds):
                return found
            try:
                return Heard(found, _voice_in(path, found, self.listens_s, reporter))
            except InputError:  # its picture may be good; what is wrong is told by who asks for the voice
                return found

    def _measured(self, path: Path, reporter: TaskReporter) -> Probe | NeedsBytes:
        from owtmix.media.decode_all import decode_all
        from owtmix.media.partial_file import MissingBytesError
        from owtmix.media.probe import probe

        try:
            found = probe(
                path, lambda t: reporter.advance(float(t)), parts=self.parts, wholly=self.wholly, rules=self.rules
            )
        except MissingBytesError as lacking:
            return NeedsBytes(lacking.at)
        if not (self.wholly and found.video):
            return found
        stats = decode_all(path, found.video, lambda t: reporter.advance(float(t)), found.end_bytes)
        return replace(found, video_stats=stats)


@dataclass(frozen=True, slots=True)
class VoiceTask:
    """Find the voice in the first ``listens_s`` seconds of a recording, the caller's ``number``.

    ``probe`` describes its sounds.

    ``version`` and ``owner`` are as in ``ProbeTask``.
    """

    result: ClassVar = Voice
    replies: ClassVar = Replies.of(InputError, ChangedError, result_bytes=MOST_VOICE_BYTES)
    number: int
    name: str
    path: Path
    probe: Probe
    listens_s: Fraction
    version: str | None = None
    owner: str = ""

    def check(self, value: Voice) -> None:
        """As ``Bounded.check``."""
        check_voice(value)

    @property
    def longest_s(self) -> float:
        """As ``Long.longest_s``."""
        return min(SLOWEST_SOUND * len(self.probe.sounds) * float(self.listens_s), MOST_MEASURING_S)

    def run(self, reporter: TaskReporter) -> Voice:
        with unchanged(self.path, self.version) as path:
            return _voice_in(path, self.probe, self.listens_s, reporter)


def _voice_in(path: Path, probe: Probe, listens_s: Fraction, reporter: TaskReporter) -> Voice:
    from owtmix.media.voice_meter import find_voice

    until_s = probe.start_s + listens_s
    return find_voice(path, probe.sounds, until_s, lambda t: reporter.advance(float(t)), probe.end_bytes)


@dataclass(frozen=True, slots=True)
class WatermarkImageTask:
    """Decode a watermark image into the file ``rgba``: uint8, (height, width, 4), nothing else. The result is its size.

    It may have ``max_pixels``, and ``left_pixels`` are left for it of what all images may have together.
    """

    result: ClassVar = Size
    replies: ClassVar = Replies.of(InputError, DestinationError)
    name: str
    data: bytes
    max_pixels: int
    left_pixels: int
    rgba: Path

    def check(self, value: Size) -> None:
        """As ``Bounded.check``: also whether the file holds what it should."""
        pixels = value.width * value.height
        if min(value.width, value.height) < 1 or pixels > min(self.max_pixels, self.left_pixels):
            raise ValueError(f"is a picture of {value}, which is not accepted")
        if size_of_made(self.rgba) != pixels * CHANNELS:
            raise ValueError("is a picture of another size than its file")

    def run(self, reporter: TaskReporter) -> Size:  # noqa: ARG002 - images are small, so there is no progress
        from owtmix.inputs.watermark_images import decode_image

        pixels = decode_image(self.data, self.max_pixels, self.left_pixels)
        try:
            make_own(self.rgba)
            pixels.tofile(self.rgba)
        except OSError as error:
            raise disk_error(self.rgba.parent, error) from None
        return Size(pixels.shape[1], pixels.shape[0])

"""The tasks of a live mix, for a confined worker, which keeps what is open from one chunk to the next.

Each imports what it needs when it runs: the parent never loads a media library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from owtmix.base.errors import DestinationError, InputError
from owtmix.base.time import timecode
from owtmix.inputs.image_files import DecodedImage
from owtmix.live.live_plan import Head
from owtmix.live.live_source import LiveSource
from owtmix.plan.model import RenderPlan, sample_count
from owtmix.plan.voice import Voice, check_voice
from owtmix.produce.plausible_tracks import most_chunk_bytes
from owtmix.recorder.file_plan import Track
from owtmix.workers.base import Replies, TaskReporter
from owtmix.workers.made_files import check_made

if TYPE_CHECKING:
    from owtmix.live.mixer import Mixer

IMPORTS: Final = (
    "av.subtitles.stream",
    "numpy.ma",
    "owtmix.live.mixer",
    "owtmix.live.joining",
    "owtmix.live.listening",
    "owtmix.recorder.key_frame",
)
"""What the tasks import."""
MOST_RESULT_BYTES: Final = 1 << 20
MOST_VOICES_BYTES: Final = 1 << 24
MOST_PIXELS: Final = 8192 * 4320
_MORE_BYTES: Final = 1 << 22
"""Of a segment, and of sound, beside what the picture has."""
_SLOWEST: Final = 60.0


@dataclass(frozen=True, slots=True)
class HeadTask:
    """Find out what a key frame of a picture tells; ``key`` names its file."""

    result: ClassVar = Head
    replies: ClassVar = Replies.of(InputError)
    key: str
    track: Track

    @property
    def name(self) -> str:
        return self.key

    def check(self, value: Head) -> None:
        """As ``Bounded.check``."""
        if not 0 < value.size.width * value.size.height <= MOST_PIXELS:
            raise ValueError("has a picture of a size that no picture has")

    def run(self, reporter: TaskReporter) -> Head:  # noqa: ARG002 - it is short
        from owtmix.live.mixer import head_of  # noqa: PLC0415 - in the worker

        return head_of(self.track)


@dataclass(frozen=True, slots=True)
class ListenTask:
    """Listen to ``sources`` up to ``until_us``, in microseconds since 1970. The result has voices by names of files."""

    result: ClassVar = dict[str, Voice]
    replies: ClassVar = Replies.of(result_bytes=MOST_VOICES_BYTES)
    sources: Sequence[LiveSource]
    until_us: int
    name = "who speaks"

    def check(self, value: dict[str, Voice]) -> None:
        """As ``Bounded.check``."""
        if not value.keys() <= {source.plan.name for source in self.sources}:
            raise ValueError("is about other sources")
        for voice in value.values():
            check_voice(voice)

    def run(self, reporter: TaskReporter) -> dict[str, Voice]:
        from owtmix.live.listening import LISTENER  # noqa: PLC0415 - in the worker

        return LISTENER.listen(self, reporter)


@dataclass(frozen=True, slots=True)
class Mixed:
    """What a chunk has become: ``packets`` of sound, the first of which is number ``first_packet`` of the mix.

    ``problems`` are those of sources, by their names.
    """

    first_packet: int
    packets: int
    problems: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MixTask:
    """Compose, mix and encode a chunk: ``frames`` of the plan's picture, and the sound until it ends.

    The files ``track``, ``sound`` and ``segment`` exist; they become the picture, packets of sound, and both as FLV.
    ``images`` are those of watermarks. With ``is_last`` no sound comes any more.
    """

    result: ClassVar = Mixed
    replies: ClassVar = Replies.of(DestinationError, result_bytes=MOST_RESULT_BYTES)
    plan: RenderPlan
    sources: Sequence[LiveSource]
    images: Mapping[str, DecodedImage]
    span: tuple[Fraction, Fraction]
    next_packet: int
    track: Path
    sound: Path
    segment: Path
    threads: int
    is_last: bool = False

    @property
    def name(self) -> str:
        return f"the room at {timecode(self.span[0])}"

    @property
    def frames(self) -> range:
        """Of the picture; empty where there is none."""
        picture = self.plan.picture
        return picture.chunks[0] if picture else range(0)

    @property
    def samples(self) -> range:
        """Of the sound."""
        return range(sample_count(self.span[0]), sample_count(self.span[1]))

    @property
    def longest_s(self) -> float:
        """As ``Long.longest_s``."""
        return _SLOWEST * float(self.span[1] - self.span[0])

    @property
    def most_bytes(self) -> int:
        """Of each of the files."""
        picture = self.plan.picture
        return _MORE_BYTES + (2 * most_chunk_bytes(picture, self.frames) if picture else 0)

    def check(self, value: Mixed) -> None:
        """As ``Bounded.check``."""
        if not 0 <= value.first_packet <= self.next_packet or not 0 <= value.packets < MOST_RESULT_BYTES:
            raise ValueError("has another sound")
        if not value.problems.keys() <= {source.plan.name for source in self.sources}:
            raise ValueError("is about other sources")
        for path in (self.segment, *([self.track] if self.plan.picture else [])):
            check_made(path, self.most_bytes)

    def run(self, reporter: TaskReporter) -> Mixed:
        from owtmix.live.mixer import MIXER  # noqa: PLC0415 - in the worker

        mixer: Mixer = MIXER
        return mixer.mix(self, reporter)


@dataclass(frozen=True, slots=True)
class JoinedSound:
    """The files with the packets of a mix's sound, in order, each with the number of its first packet.

    The file that is made begins with sample ``first`` of the mix.
    """

    files: Sequence[tuple[Path, int]]
    first: int


@dataclass(frozen=True, slots=True)
class JoinTask:
    """Join chunks of a mix into the file ``path``, which exists, and read it back.

    ``plan`` is of what the file holds: its frames, its samples, and their encoders. ``chunks`` are files with the
    frames of its picture, which count from its beginning.
    """

    result: ClassVar = type(None)
    replies: ClassVar = Replies.of(DestinationError)
    plan: RenderPlan
    chunks: Sequence[tuple[Path, range]]
    sound: JoinedSound
    bench: Path
    path: Path
    most_bytes: int
    name = "the finished file"

    @property
    def longest_s(self) -> float:
        """As ``Long.longest_s``."""
        return float(self.plan.duration_s)

    def check(self, value: None) -> None:  # noqa: ARG002 - only the file tells something
        """As ``Bounded.check``."""
        check_made(self.path, self.most_bytes)

    def run(self, reporter: TaskReporter) -> None:
        from owtmix.live.joining import join_mix  # noqa: PLC0415 - in the worker

        join_mix(self, reporter.heartbeat)

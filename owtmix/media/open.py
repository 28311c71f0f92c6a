"""Opening recordings: the demuxer is chosen by content, never by name, and may touch nothing but the one file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final, TypeGuard, TypeVar

import av
from av.audio.stream import AudioStream
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from owtmix.base.errors import InputError
from owtmix.media.partial_file import PartialFile

VIDEO_CODECS: Final = ("h264", "hevc", "vp8", "vp9", "av1", "libdav1d", "libvpx", "libvpx-vp9", "libaom-av1")
AUDIO_CODECS: Final = ("aac", "opus", "libopus", "vorbis", "mp3", "mp3float")
MAX_PIXELS: Final = 8192 * 4320
"""A larger picture is refused before its memory is taken."""
TimeT = TypeVar("TimeT", int, Fraction)

MAX_STREAMS: Final = 32

_BRANDS: Final = (b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"sidx")
_MAGIC_BYTES: Final = 16


def open_input(
    path: Path,
    max_pixels: int = MAX_PIXELS,
    *,
    excerpt: PartialFile | None = None,
    hardware: HWAccel | None = None,
) -> InputContainer:
    """Open a recording for demuxing; its pictures may have up to ``max_pixels``, and ``hardware`` may decode them.

    It is read from ``excerpt``, if any.

    MP4, WebM and Matroska, Ogg and WAV are accepted (semantics.md, "Where things are"), told apart by their first
    bytes, so that a playlist or a script under a recording's name is refused instead of followed.

    Raises:
        InputError: the file is missing, empty, of another kind, or damaged beyond opening.
        LackingError: the excerpt lacks what opening it takes.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_MAGIC_BYTES)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from None
    container = _container_format(head)
    if container is None:
        raise InputError("is empty" if not head else "is not an MP4, WebM, Matroska, Ogg or WAV file")
    decoder_options = {"max_pixels": str(max_pixels), "codec_whitelist": _CODECS}
    try:
        opened = av.open(
            excerpt or str(path.absolute()),
            "r",
            format=container,
            options={
                "protocol_whitelist": "file",
                "format_whitelist": _WHITELISTS[container],
                "max_streams": str(MAX_STREAMS),
                **decoder_options,
            },
            metadata_errors="replace",
            hwaccel=hardware,
        )
    except MemoryError:
        what = f"it has more than {MAX_STREAMS} streams, or asks for too much memory"
        raise InputError(f"cannot be opened: {what}") from None
    except (av.error.FFmpegError, ValueError, OSError) as error:
        if excerpt:
            excerpt.check()
        raise InputError(f"cannot be opened: {ffmpeg_reason(error)}") from None
    if excerpt:
        excerpt.check()
    for stream in opened.streams:
        if _decodable(stream):
            stream.codec_context.options = decoder_options
            # What a damaged file shows must not vary with the number of threads.
            stream.codec_context.thread_count = 1
    return opened


def is_usable_stream(stream: Stream) -> bool:
    """Whether this is picture or sound of a codec that is accepted, and no cover art."""
    if not _decodable(stream):
        return False
    name = stream.codec_context.codec.name
    if isinstance(stream, VideoStream):
        return name in VIDEO_CODECS and not is_cover(stream)
    # Without a rate, which a broken header may leave out, no sound decodes.
    return (name in AUDIO_CODECS or name.startswith("pcm_")) and stream.codec_context.sample_rate > 0


def is_cover(stream: Stream) -> bool:
    """Whether this is a picture of the file's contents, not a part of them."""
    return bool(stream.disposition & Disposition.attached_pic)


def _decodable(stream: Stream) -> TypeGuard[VideoStream | AudioStream]:
    """Whether FFmpeg has any decoder for it; a stream of a codec that it does not know has no context."""
    return isinstance(stream, VideoStream | AudioStream) and stream.codec_context is not None


def select_stream(container: InputContainer, index: int) -> Stream:
    """The stream ``index``, which alone will be demuxed; the container is closed when it has none.

    Raises:
        InputError: the file has no such stream, or none that is usable.
    """
    chosen = next((stream for stream in container.streams if stream.index == index and is_usable_stream(stream)), None)
    if chosen is None:
        container.close()
        raise InputError(f"has no usable stream {index}")
    for stream in container.streams:
        if stream is not chosen:
            stream.discard = Discard.all
    return chosen


def packets(
    container: InputContainer, *streams: Stream, on_error: Callable[[str], None] = lambda _: None
) -> Iterator[Packet[Stream]]:
    """The packets of ``streams``, and at the end an empty one for each, which drains its decoder.

    A container that is damaged from somewhere on ends there; ``on_error`` is told what FFmpeg says.
    """
    try:
        yield from container.demux(streams)
    except av.error.FFmpegError as error:
        on_error(ffmpeg_reason(error))
        for stream in streams:
            last: Packet[Stream] = Packet()
            last.stream = stream
            yield last


def is_spike(before: TimeT | None, stamp: TimeT, after: TimeT, most: TimeT) -> bool:
    """Whether ``stamp`` lies more than ``most`` ahead of both its neighbours."""
    return stamp - after > most and (before is None or stamp - before > most)


def file_version(path: Path) -> tuple[int, int, int]:
    """What changes when the file does."""
    state = path.stat()
    return state.st_ino, state.st_size, state.st_mtime_ns


def check_unchanged(path: Path, version: tuple[int, int, int]) -> None:
    """Look once more at a file that was read to its end.

    Raises:
        InputError: it is not what it was when it was opened.
    """
    try:
        unchanged = file_version(path) == version
    except OSError:
        unchanged = False
    if not unchanged:
        raise InputError("it was changed while it was read")


def ffmpeg_reason(error: BaseException) -> str:
    """What FFmpeg said, without the file name it adds."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


_CODECS: Final = ",".join(
    (*VIDEO_CODECS, *AUDIO_CODECS, *sorted(c for c in av.codecs_available if c.startswith("pcm_")))
)
_WHITELISTS: Final = {
    "mp4": "mov,mp4,m4a,3gp,3g2,mj2",
    "matroska": "matroska,webm",
    "ogg": "ogg",
    "wav": "wav",
}


def _container_format(head: bytes) -> str | None:
    if head[4:8] in _BRANDS:
        return "mp4"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    if head.startswith(b"OggS"):
        return "ogg"
    if head[:4] in {b"RIFF", b"RF64"} and head[8:12] == b"WAVE":
        return "wav"
    return None

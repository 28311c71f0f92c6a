"""Opens recordings. The demuxer is selected by content, never by name, and reads no other file or address."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeGuard

import av
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from owtmix.base.errors import InputError
from owtmix.base.shortage import raise_if_short
from owtmix.media.bounded_file import BoundedFile
from owtmix.media.file_view import FileView
from owtmix.media.partial_file import PartialFile

VIDEO_CODECS: Final = ("h264", "hevc", "vp8", "vp9", "av1", "libdav1d", "libvpx", "libvpx-vp9", "libaom-av1")
AUDIO_CODECS: Final = ("aac", "opus", "libopus", "vorbis", "mp3", "mp3float")
MAX_PIXELS: Final = 8192 * 4320
"""Larger frames are refused before memory is allocated."""
MAX_STREAMS: Final = 32
WAV_PACKET_BYTES: Final = 1 << 16
"""The large packets of WAV; its demuxer makes them of 4 KiB otherwise."""

_MP4_BOXES: Final = (b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"sidx")
_MAGIC_BYTES: Final = 16


def open_input(
    path: Path,
    max_pixels: int = MAX_PIXELS,
    *,
    partial: PartialFile | None = None,
    bounded: BoundedFile | None = None,
    end_bytes: int | None = None,
    hardware: HWAccel | None = None,
    is_measured: bool = False,
) -> InputContainer:
    """Open a recording for demuxing.

    Accepts MP4, WebM and Matroska, Ogg and WAV, recognised by their first bytes (docs/semantics.md, "Where things
    are"): a playlist or script with the name of a recording is refused, not followed.

    Args:
        path: the file.
        max_pixels: limit of the pixels of a frame.
        partial: read from this instead of ``path``.
        bounded: the same, for a file that may have to end early.
        end_bytes: where the file ends, if its packets end before.
        is_measured: WAV comes in large packets, for those who want only its length.
        hardware: acceleration for video decoders.

    Raises:
        InputError: the file is missing, empty, of another format, or too damaged to open.
        MissingBytesError: ``partial`` lacks bytes that opening needs.
        ShortageError: the machine is short of memory or open files.
    """
    with FileView(path) as file:
        head = file.read(_MAGIC_BYTES)
    container = _container_format(head)
    if container is None:
        raise InputError("is empty" if not head else "is not an MP4, WebM, Matroska, Ogg or WAV file")
    if end_bytes is not None:
        bounded = BoundedFile(path, end_bytes, most_unused_bytes=end_bytes << 16)
    decoder_options = _decoder_options(max_pixels)
    try:
        opened = av.open(
            partial or bounded or FileView(path),
            "r",
            format=container,
            options={
                "protocol_whitelist": "file",
                "format_whitelist": _WHITELISTS[container],
                "max_streams": str(MAX_STREAMS),
                **decoder_options,
                **({"max_size": str(WAV_PACKET_BYTES)} if is_measured and container == "wav" else {}),
            },
            metadata_errors="replace",
            hwaccel=hardware,
        )
    except MemoryError as error:
        raise_if_short(error)
        reason = f"it has more than {MAX_STREAMS} streams, or asks for too much memory"
        raise InputError(f"cannot be opened: {reason}") from None
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise_if_short(error)
        if partial:
            partial.check()
        raise InputError(f"cannot be opened: {ffmpeg_reason(error)}") from None
    if partial:
        partial.check()
    for stream in opened.streams:
        if _decodable(stream):
            limit_decoder(stream.codec_context, max_pixels)
    return opened


def close_input(container: InputContainer) -> None:
    """Close a recording, and the file that it is read from."""
    container.close()
    if container.file is not None:
        container.file.file.close()


def limit_decoder(context: CodecContext, max_pixels: int = MAX_PIXELS) -> None:
    """Have a decoder refuse larger frames, and decode in one thread: how damage decodes must not depend on threads."""
    context.options = _decoder_options(max_pixels)
    context.thread_count = 1


def _decoder_options(max_pixels: int) -> dict[str, str]:
    return {"max_pixels": str(max_pixels), "codec_whitelist": _CODECS}


def is_usable_stream(stream: Stream) -> bool:
    """Whether this is video or audio of an accepted codec, and not cover art."""
    if not _decodable(stream):
        return False
    name = stream.codec_context.codec.name
    if isinstance(stream, VideoStream):
        return name in VIDEO_CODECS and not is_cover(stream)
    # A broken header may lack the rate; such a stream does not decode.
    return (name in AUDIO_CODECS or name.startswith("pcm_")) and stream.codec_context.sample_rate > 0


def is_cover(stream: Stream) -> bool:
    """Whether this is cover art (an attached picture)."""
    return bool(stream.disposition & Disposition.attached_pic)


def _decodable(stream: Stream) -> TypeGuard[VideoStream | AudioStream]:
    """Whether FFmpeg has a decoder; a stream of an unknown codec has no context."""
    return isinstance(stream, VideoStream | AudioStream) and stream.codec_context is not None


def select_stream(container: InputContainer, index: int) -> Stream:
    """Select stream ``index``, and discard the packets of all others.

    Raises:
        InputError: there is no such usable stream; the container is closed then.
    """
    chosen = next((stream for stream in container.streams if stream.index == index and is_usable_stream(stream)), None)
    if chosen is None:
        close_input(container)
        raise InputError(f"has no usable stream {index}")
    for stream in container.streams:
        if stream is not chosen:
            stream.discard = Discard.all
    return chosen


def packets(
    container: InputContainer, *streams: Stream, on_error: Callable[[str], None] = lambda _: None
) -> Iterator[Packet[Stream]]:
    """The packets of ``streams``, and at the end an empty one for each, to drain its decoder.

    A container ends where demuxing fails; ``on_error`` gets FFmpeg's reason.
    """
    try:
        yield from container.demux(streams)
    except av.error.FFmpegError as error:
        raise_if_short(error)
        on_error(ffmpeg_reason(error))
        for stream in streams:
            last: Packet[Stream] = Packet()
            last.stream = stream
            yield last


def states_durations(stream: Stream) -> bool:
    """Whether packets state their durations. In Matroska FFmpeg guesses them, often wrongly by half."""
    return "matroska" not in stream.container.format.name


def ffmpeg_reason(error: BaseException) -> str:
    """FFmpeg's message without the file name that it adds."""
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
    if head[4:8] in _MP4_BOXES:
        return "mp4"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    if head.startswith(b"OggS"):
        return "ogg"
    if head[:4] in {b"RIFF", b"RF64"} and head[8:12] == b"WAVE":
        return "wav"
    return None

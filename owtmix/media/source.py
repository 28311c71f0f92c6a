"""Opening recordings: the demuxer is chosen by content, never by name, and may touch nothing but the one file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import av
from av.container import InputContainer

from owtmix.errors import InputError

VIDEO_CODECS: Final = ("h264", "hevc", "vp8", "vp9", "av1", "libdav1d", "libvpx", "libvpx-vp9", "libaom-av1")
AUDIO_CODECS: Final = ("aac", "opus", "libopus", "vorbis", "mp3", "mp3float")

_BRANDS: Final = (b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"sidx")
_MAGIC_BYTES: Final = 16


def open_input(path: Path) -> InputContainer:
    """Open a recording for demuxing.

    MP4, WebM and Matroska, Ogg and WAV are accepted (semantics.md, "Where things are"), told apart by their first
    bytes, so that a playlist or a script under a recording's name is refused instead of followed.

    Raises:
        InputError: the file is missing, empty, of another kind, or damaged beyond opening.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_MAGIC_BYTES)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from None
    container = _container_format(head)
    if container is None:
        raise InputError("is empty" if not head else "is not an MP4, WebM, Matroska, Ogg or WAV file")
    try:
        return av.open(
            str(path.absolute()),
            format=container,
            options={"protocol_whitelist": "file", "format_whitelist": _WHITELISTS[container]},
            metadata_errors="replace",
        )
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise InputError(f"cannot be opened: {reason(error)}") from None


def reason(error: BaseException) -> str:
    """What FFmpeg said, without the file name it adds."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


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

"""Opens key frames: one alone tells what a muxer or a decoder needs to know of a picture."""

from __future__ import annotations

import io
import struct
from typing import Final

import av
from av.container import InputContainer

from owtmix.base.errors import InputError
from owtmix.base.shortage import raise_if_short
from owtmix.media.open import MAX_PIXELS
from owtmix.recorder.file_plan import Track
from owtmix.recorder.journal import Codec, JournalError, JournalReader
from owtmix.recorder.journal_scan import media_frames

MOST_HEADS: Final = 20
"""Key frames that are tried, until one tells the size of the picture."""
_OPTIONS: Final = {"max_pixels": str(MAX_PIXELS)}
"""Opening decodes, which takes seconds for a picture that is too large."""
_IVF_HEAD: Final = struct.Struct("<4sHH4sHHIIII")
_IVF_FRAME: Final = struct.Struct("<IQ")
_VP8_SIZE: Final = 0x3FFF


def open_journal(track: Track) -> JournalReader:
    """A reader of a track's journal.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return JournalReader(track.path)
    except (JournalError, OSError) as error:
        raise_if_short(error)
        raise InputError(f"{track.path.name} cannot be read: {error}") from None


def picture_head(track: Track) -> tuple[InputContainer, int]:
    """A stream that has what a muxer needs to know, and the number of frames before the key frame that tells it.

    Raises:
        InputError: no key frame tells it.
    """
    tried = 0
    with open_journal(track) as reader:
        for number, frame in enumerate(media_frames(reader)):
            if frame.is_key:
                if head := open_key_frame(track.codec, frame.data):
                    return head, number
                tried += 1
                if tried == MOST_HEADS:
                    break
    raise InputError(f"none of {tried} key frames tells the size of a picture that can be shown")


def open_key_frame(codec: Codec, data: bytes) -> InputContainer | None:
    """A container with one key frame; None where it has no picture, or one too large."""
    try:
        if codec == "h264":
            opened = av.open(io.BytesIO(data), "r", format="h264", options=_OPTIONS)
        else:
            width, height = (side & _VP8_SIZE for side in struct.unpack_from("<HH", data, 6))
            head = _IVF_HEAD.pack(b"DKIF", 0, _IVF_HEAD.size, b"VP80", width, height, 1000, 1, 1, 0)
            opened = av.open(
                io.BytesIO(head + _IVF_FRAME.pack(len(data), 0) + data), "r", format="ivf", options=_OPTIONS
            )
    except (av.error.FFmpegError, ValueError, MemoryError) as error:
        raise_if_short(error)
        return None
    context = opened.streams.video[0].codec_context if opened.streams.video else None
    if context and 0 < context.width * context.height <= MAX_PIXELS and context.pix_fmt:
        return opened
    opened.close()
    return None

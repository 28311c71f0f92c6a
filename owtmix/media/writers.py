"""Encodes one track into a file that only its owner can read; ``outputs.mux`` joins the tracks."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.hwaccel import HWAccel
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from owtmix.base.errors import DestinationError, EncoderLost, RenderError
from owtmix.base.geometry import Size
from owtmix.base.own_files import make_own
from owtmix.base.shortage import raise_if_short
from owtmix.media.open import ffmpeg_reason
from owtmix.plan.encoders import NVENC
from owtmix.plan.media_info import Matrix
from owtmix.plan.model import SAMPLE_RATE_HZ, AudioEncoding, VideoEncoding

TRACK_FORMAT: Final = "mp4"
"""Keeps exact timestamps and encoder delay for all codecs used; WebM would round to milliseconds."""

_DISK_ERRORS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
_FOLDER_ERRORS: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ESTALE, errno.ENOTCONN}
)
"""Its folder was removed, replaced, unmounted or protected, when a file is not there. Encoders have other reasons."""
_LIMITED: Final = 1
_TAGS: Final = {"bt709": (1, 1, 1), "bt601": (6, 6, 6)}
_LAYOUTS: Final = {1: "mono", 2: "stereo"}


class VideoWriter:
    """Writes frames at a constant rate, numbered from 0 without gaps.

    With ``gpu``, the number of a GPU, frames are in its memory, and NVENC reads them there.

    Raises:
        EncoderLost: NVENC is not available, or fails.
        RenderError: the encoder refuses its settings or a frame, or the file cannot be written.
    """

    def __init__(
        self, path: Path, size: Size, fps: int, matrix: Matrix, encoding: VideoEncoding, gpu: int | None = None
    ) -> None:
        self._path = path
        self._time_base = Fraction(1, fps)
        self._tags = _TAGS[matrix]
        self._failure = EncoderLost if encoding.encoder == NVENC else RenderError
        with encoding_errors(self._path, failure=self._failure):
            self._container = _open_track(path)
            hardware = None if gpu is None else HWAccel("cuda", str(gpu), is_hw_owned=True)
            stream = self._container.add_stream(
                encoding.encoder, rate=fps, options=dict(encoding.options), hwaccel=hardware
            )
            assert isinstance(stream, VideoStream)
            context = stream.codec_context
            context.width, context.height = size.width, size.height
            context.pix_fmt = "yuv420p" if gpu is None else "cuda"
            context.time_base = self._time_base
            context.bit_rate = encoding.bit_rate_kbps * 1000
            context.gop_size = encoding.gop
            context.thread_count = 1
            context.color_range = _LIMITED
            context.colorspace, context.color_primaries, context.color_trc = self._tags
            self._stream = stream

    def write(self, frame: VideoFrame, number: int) -> None:
        """Encode ``frame`` (limited range; yuv420p, or NV12 on the GPU) as frame ``number``; it may be reused then."""
        frame.pts, frame.time_base = number, self._time_base
        frame.pict_type = 0
        frame.color_range = _LIMITED
        frame.colorspace, frame.color_primaries, frame.color_trc = self._tags
        with encoding_errors(self._path, failure=self._failure):
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Drain the encoder and finish the file."""
        with encoding_errors(self._path, failure=self._failure):
            self._container.mux(self._stream.encode(None))
            self._container.close()


class AudioWriter:
    """Writes consecutive blocks of sound at 48 kHz.

    Raises:
        RenderError: the encoder refuses its settings or a block, or the file cannot be written.
    """

    def __init__(self, path: Path, encoding: AudioEncoding) -> None:
        self._path = path
        self._channels = encoding.channels
        self._position = 0
        with encoding_errors(self._path):
            self._container = _open_track(path)
            stream = self._container.add_stream(encoding.encoder, rate=SAMPLE_RATE_HZ)
            assert isinstance(stream, AudioStream)
            stream.codec_context.layout = _LAYOUTS[encoding.channels]
            stream.codec_context.bit_rate = encoding.bit_rate_kbps * 1000
            stream.codec_context.thread_count = 1
            self._stream = stream

    def write(self, block: NDArray[np.float32]) -> None:
        """Encode a stereo block, float32 (2, n) in -1..1; mono output is the mean of both channels."""
        if self._channels == 1:
            block = ((block[0] + block[1]) * np.float32(0.5))[np.newaxis]
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=_LAYOUTS[self._channels])
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.pts, frame.time_base = self._position, Fraction(1, SAMPLE_RATE_HZ)
        self._position += block.shape[1]
        with encoding_errors(self._path):
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Drain the encoder and finish the file."""
        with encoding_errors(self._path):
            self._container.mux(self._stream.encode(None))
            self._container.close()


def _open_track(path: Path) -> OutputContainer:
    """A new file, which only its owner can read."""
    make_own(path)
    return av.open(str(path), "w", format=TRACK_FORMAT, options={"fflags": "+bitexact"})


def sync_file(path: Path) -> None:
    """Flush a finished file to disk (fsync).

    Raises:
        DestinationError: the disk is full or fails.
        RenderError: the file cannot be written.
    """
    with encoding_errors(path), path.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def encoding_errors(*files: Path, failure: type[RenderError] = RenderError) -> Iterator[None]:
    """Map FFmpeg's errors with ``files``: those of the disk to DestinationError, others to ``failure``."""
    try:
        yield
    except (av.error.FFmpegError, ValueError, OSError) as error:
        if getattr(error, "errno", None) in _DISK_ERRORS:
            raise DestinationError(
                f"the disk takes no more: {ffmpeg_reason(error)}: free some space and try again"
            ) from error
        gone = next((path for path in files if not os.path.isfile(path)), None)  # noqa: PTH113 - Path's may raise
        if gone and getattr(error, "errno", None) in _FOLDER_ERRORS:
            hint = "was its folder removed or changed while the job ran?"
            raise DestinationError(f"{gone} cannot be used: {ffmpeg_reason(error)}: {hint}") from error
        raise_if_short(error)
        raise failure(f"the output cannot be encoded: {ffmpeg_reason(error)}") from error

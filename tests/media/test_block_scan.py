"""Listing the blocks of plain WebM files: the same as a demuxer finds."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.media import block_scan
from owtmix.media.block_scan import scan_blocks
from owtmix.media.probe import probe
from owtmix.plan.media_info import Damage
from tests.conftest import SHARED
from tests.support.people import person, record

RECORDINGS = sorted(path.name for path in (SHARED / "media").glob("*.webm")) if SHARED.is_dir() else []

BLOCK_HEADER_BYTES = 4
DISCARD_PADDING = b"\x75\xa2"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "anna.webm"
    record(person(0, 0, 9000, 1000, container="webm", holes_ms=((3000, 5000),)), path)
    return path


def demuxed(path: Path) -> list[tuple[int, int, int]]:
    """Position, size and time in milliseconds of each packet."""
    with av.open(str(path)) as file:
        rows = []
        for packet in file.demux():
            if packet.size:
                assert packet.pts is not None
                assert packet.pos is not None
                rows.append((packet.pos, packet.size, packet.pts))
    return rows


def test_blocks_are_those_that_a_demuxer_finds(plain: Path) -> None:
    blocks = scan_blocks(plain)
    assert blocks
    packets = demuxed(plain)
    assert list(zip(blocks.positions.tolist(), blocks.sizes.tolist(), strict=True)) == [row[:2] for row in packets]
    sound_delay_ms = 7
    assert all(ms - row[2] in {0, sound_delay_ms} for ms, row in zip(blocks.ticks.tolist(), packets, strict=True))


def test_key_frames_are_those_that_a_demuxer_finds(plain: Path) -> None:
    blocks = scan_blocks(plain)
    assert blocks
    with av.open(str(plain)) as file:
        assert blocks.keys.tolist() == [packet.is_keyframe for packet in file.demux() if packet.size]


def test_a_block_in_a_group_is_a_key_frame_unless_it_refers_to_another(tmp_path: Path) -> None:
    """Blocks that are 1 MiB apart are read in windows of their own."""
    head = b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01" + b"\xff" * 7 + b"\x1f\x43\xb6\x75\x01" + b"\xff" * 7
    payload, reference = b"\x81\0\0\0" + bytes((1 << 20) - 4), b"\xfb\x81\xff"
    block = b"\xa1" + (1 << 28 | len(payload)).to_bytes(4) + payload
    groups = (b"\xa0" + (1 << 28 | len(inside)).to_bytes(4) + inside for inside in (block, block + reference) * 2)
    path = tmp_path / "groups.webm"
    path.write_bytes(head + b"\xe7\x81\0" + b"".join(groups))
    blocks = scan_blocks(path)
    assert blocks
    assert blocks.keys.tolist() == [1, 0, 1, 0]


def assert_measured_alike(path: Path) -> None:
    """Measured by blocks, and by every packet: ``wholly`` decodes all."""
    quick, slow = probe(path), probe(path, wholly=True)
    assert replace(quick, audio_damage=Damage()) == replace(slow, audio_damage=Damage())


def test_a_recording_is_measured_alike_by_its_blocks(plain: Path) -> None:
    assert_measured_alike(plain)
    assert probe(plain).span.end == pytest.approx(Fraction(9), abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDINGS)
def test_real_recordings_are_measured_alike_by_their_blocks(name: str) -> None:
    path = SHARED / "media" / name
    if scan_blocks(path) is not None and not name.startswith(("media__invalid", "moviepy__result")):
        assert_measured_alike(path)


@pytest.mark.parametrize("damage", ["cut", "appended", "zeros", "timecode", "not Matroska", "empty"])
def test_what_is_not_plain_is_left_to_the_demuxer(plain: Path, tmp_path: Path, damage: str) -> None:
    data = plain.read_bytes()
    path = tmp_path / "damaged.webm"
    path.write_bytes(
        {
            "cut": data[:-100],
            "appended": data * 2,
            "zeros": data[:20_000] + bytes(500) + data[20_500:],
            "timecode": data.replace(b"\xe7\x81\x00", b"\xe7\x88\xff" + bytes(7), 1),
            "not Matroska": b"RIFF" + bytes(5000),
            "empty": b"",
        }[damage]
    )
    assert scan_blocks(path) is None


@pytest.mark.parametrize(
    "cut",
    [b"\x8c" + b"\x7f" * 12, b"\x88" + b"\x7f" * 8, b"\x84" + b"\xff" * 4, b"\xff"],
    ids=["12 bytes", "longer than any packet", "negative", "of unknown length"],
)
def test_an_absurd_cut_of_the_last_block_is_left_to_the_demuxer(plain: Path, tmp_path: Path, cut: bytes) -> None:
    path = tmp_path / "cut.webm"
    blocks = scan_blocks(plain)
    assert blocks
    blocks_end = int(blocks.positions[-1] + blocks.sizes[-1]) + BLOCK_HEADER_BYTES
    path.write_bytes(plain.read_bytes()[:blocks_end] + DISCARD_PADDING + cut)
    assert scan_blocks(path) is None
    path.write_bytes(plain.read_bytes()[:blocks_end] + DISCARD_PADDING + b"\x83\x10\0\0")
    cut_at_the_end = scan_blocks(path)
    assert cut_at_the_end
    assert cut_at_the_end.padding_ns[-1] == 1 << 20


@pytest.mark.parametrize("left", [0, 4097, 5000, 9000])
def test_a_file_that_is_cut_meanwhile_is_left_to_the_demuxer(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    path = tmp_path / "cut.webm"
    path.write_bytes(plain.read_bytes())
    monkeypatch.setattr(block_scan, "WINDOW_BYTES", 4096)
    assert scan_blocks(path)
    assert scan_blocks(path, lambda _: os.truncate(path, left)) is None


@given(at=st.integers(0, 2**16), garbage=st.binary(min_size=1, max_size=40))
def test_garbage_ends_the_scan_and_never_the_process(at: int, garbage: bytes, plain: Path) -> None:
    data = plain.read_bytes()
    at %= len(data)
    path = plain.with_name("garbage.webm")
    path.write_bytes(data[:at] + garbage + data[at + len(garbage) :])
    blocks = scan_blocks(path)
    assert blocks is None or (blocks.positions < path.stat().st_size).all()

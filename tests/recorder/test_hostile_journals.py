"""Journals of hostile senders, finished by the real command in confined workers: they cost only their own files."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import av

from owtmix.base.ids import StreamId
from owtmix.recorder.journal import Codec, Frame, JournalHead, JournalWriter, Kind, Report
from tests.recorder.finishing import finish_here, lay_out, look, run_finish
from tests.recorder.senders import START_US, Sender, pictures, sounds

ALICE: Final = Sender("alice_1", marks_ms=(1000, 2000), length_ms=3000)
MALLORY: Final = "mallory_1"
MOST: Final = 1 << 63
LONGEST_MS: Final = 60_000
"""Of any file here: all arrivals lie within seconds."""

Records = Iterator[Frame | Report]


def write(folder: Path, session: str, codec: Codec, records: Records, number: int = 0) -> None:
    kind: Kind = "audio" if codec == "opus" else "video"
    rate = 48_000 if codec == "opus" else 90_000
    head = JournalHead(session, StreamId.parse(MALLORY), kind, codec, rate)
    writer = JournalWriter(folder / f"{session}.{kind}.{number}.journal", head)
    for record in records:
        if isinstance(record, Frame):
            writer.frame(record)
        else:
            writer.report(record)


def random_bytes(*, start: bytes = b"", count: int = 300) -> Records:
    chance = random.Random(len(start))
    for n in range(count):
        yield Frame(n * 1800, START_US + n * 20_000, n % 10 == 0, start + chance.randbytes(chance.randrange(2000)))


def good(codec: Codec) -> Records:
    sender = replace(ALICE, codec=codec if codec != "opus" else None)
    frames = [(data, True) for data in sounds(sender)] if codec == "opus" else pictures(sender)
    rate, step = (48_000, 20) if codec == "opus" else (90_000, 50)
    for n, (data, is_key) in enumerate(frames):
        yield Frame(n * step * rate // 1000, START_US + n * step * 1000 + 15_000, is_key, data)


def repeated(data: bytes) -> Records:
    return (Frame(n * 90, START_US + n * 1000, True, data) for n in range(99))


def with_times(records: Records, change: Callable[[int, int], int]) -> Records:
    for n, record in enumerate(records):
        assert isinstance(record, Frame)
        yield replace(record, rtp=change(n, record.rtp))


def with_bits_flipped(records: Records) -> Records:
    chance = random.Random(7)
    for record in records:
        assert isinstance(record, Frame)
        data = bytearray(record.data)
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        yield replace(record, data=bytes(data))


def vp8_key(width: int, height: int) -> bytes:
    return b"\x10\x02\x00\x9d\x01\x2a" + struct.pack("<HH", width, height) + bytes(200)


def huge_h264() -> bytes:
    """A key frame whose parameter sets say 8192x8192."""
    bits = "1" * 3  # seq_parameter_set_id, log2_max_frame_num_minus4 and pic_order_cnt_type are 0
    bits += "1" + "011" + "0"  # log2_max_poc_lsb, one reference, no gaps
    side = f"{512:b}"
    bits += ("0" * (len(side) - 1) + side) * 2 + "1" + "1" + "0" + "0" + "1"
    bits += "0" * (-len(bits) % 8)
    sps = b"\x67\x42\xc0\x3e" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    pps = b"\x68\xce\x38\x80"
    return b"".join(b"\x00\x00\x00\x01" + nal for nal in (sps, pps, b"\x65\x88\x84" + bytes(300)))


HOSTILE: Final[dict[str, tuple[Codec, Callable[[], Records]]]] = {
    "randomVp8": ("vp8", random_bytes),
    "randomH264": ("h264", lambda: random_bytes(start=b"\x00\x00\x00\x01\x67")),
    "randomSlices": ("h264", lambda: random_bytes(start=b"\x00\x00\x01\x65\x88")),
    "randomOpus": ("opus", random_bytes),
    "hugeVp8": ("vp8", lambda: repeated(vp8_key(16_383, 16_383))),
    "hugeH264": ("h264", lambda: repeated(huge_h264())),
    "flippedH264": ("h264", lambda: with_bits_flipped(good("h264"))),
    "flippedVp8": ("vp8", lambda: with_bits_flipped(good("vp8"))),
    "flippedOpus": ("opus", lambda: with_bits_flipped(good("opus"))),
    "tenHours": ("opus", lambda: with_times(good("opus"), lambda n, rtp: rtp + (n // 7 % 2) * 36_000 * 48_000)),
    "negative": ("vp8", lambda: with_times(good("vp8"), lambda n, rtp: -rtp - (n % 3 << 60))),
    "oneTime": ("vp8", lambda: with_times(good("vp8"), lambda _n, _rtp: 5)),
    "randomTimes": ("h264", lambda: with_times(good("h264"), lambda n, _: random.Random(n).randrange(-MOST, MOST))),
}
"""By the ids of their sessions."""


def test_hostile_journals_cost_only_their_own_files(tmp_path: Path) -> None:
    folder = lay_out(tmp_path, [ALICE])
    for session, (codec, records) in HOSTILE.items():
        write(folder.journals, session, codec, records())
    (folder.journals / "noHead.video.0.journal").write_bytes(b"MZ" * 9999)
    (folder.journals / "oddName.video.x.journal").write_bytes(b"")
    status, found, log = run_finish(tmp_path)
    assert status == 0, log
    (honest,) = (entry for entry in found["files"] if entry["stream"] == "alice_1")
    assert len(look(folder.recordings / honest["name"], honest, ALICE.tone_hz).beeps_ms) == 2
    assert len(found["files"]) + len(found["left_out"]) == len(HOSTILE) + 2
    lost = {one["name"].partition(".")[0]: one["reason"] for one in found["left_out"]}
    assert "key frames" in lost["mallory_1-hugeVp8"]
    assert "key frames" in lost["mallory_1-hugeH264"]
    assert lost["noHead"] == "its first line is no head of a journal"
    for entry in found["files"]:
        assert 0 < entry["end_ms"] - entry["start_ms"] < LONGEST_MS
        assert abs(entry["start_ms"] * 1000 - START_US) < LONGEST_MS * 1000
        with av.open(str(folder.recordings / entry["name"])) as file:
            assert file.duration is None or file.duration < LONGEST_MS * 1000
    assert not list(folder.recordings.glob(".*"))


def test_the_absurd_picture_is_one() -> None:
    """Otherwise it would be refused for another reason."""
    with av.open(io.BytesIO(huge_h264()), "r", format="h264") as file:
        assert (file.streams.video[0].width, file.streams.video[0].height) == (8192, 8192)


def test_a_picture_that_cannot_be_used_leaves_its_sound(tmp_path: Path) -> None:
    folder = lay_out(tmp_path, [])
    folder.journals.mkdir()
    write(folder.journals, "m", "opus", good("opus"))
    write(folder.journals, "m", "h264", iter([Frame(0, START_US, True, huge_h264())]))
    found = finish_here(folder)
    (entry,) = found["files"]
    assert entry["name"] == "mallory_1-m.webm"
    assert len(look(folder.recordings / entry["name"], entry, ALICE.tone_hz).beeps_ms) == 2
    (left,) = found["left_out"]
    assert left["is_lost"]
    assert "key frames" in left["reason"]


def test_a_million_tiny_records_take_bounded_memory_and_time(tmp_path: Path) -> None:
    folder = lay_out(tmp_path, [ALICE])
    tiny = (
        Frame(n, START_US + n, True, b"\x08") if n % 2 else Report(n, START_US + n, n * 1_000_000)
        for n in range(1_000_000)
    )
    write(folder.journals, "m", "opus", tiny)
    status, found, log = run_finish(tmp_path)
    assert status == 0, log
    assert "alice_1" in {entry["stream"] for entry in found["files"]}
    assert max(entry["end_ms"] - entry["start_ms"] for entry in found["files"]) < LONGEST_MS

"""Recordings made of journals: what was captured when is in the file at that time, in every format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import av
import pytest

from owtmix.base.ids import StreamId
from owtmix.recorder.clock import Knot, rtp_us
from owtmix.recorder.fixed_clock import add_knots
from owtmix.recorder.journal import Frame, JournalHead, JournalReader, JournalWriter
from tests.recorder.finishing import Seen, finish_here, lay_out, look
from tests.recorder.senders import LOOKAHEAD, START_US, Sender, pictures, sounds, write_journals

MARKS: Final = (1000, 2000, 3000)
DELAY_MS: Final = 15.0
ONSET_MS: Final = 5.0
"""Of sound and of participants against each other. The truth is known to the least delay, 15 ms and some jitter."""

AGREE_MS: Final = 5.0
LOOKAHEAD_US: Final = LOOKAHEAD * 1_000_000 // 48_000

ALICE: Final = Sender("alice_1", marks_ms=MARKS, ntp_off_us=3_600_000_000, seed=2)
BOB: Final = Sender("bob_1", start_ms=300, marks_ms=MARKS, codec="h264", ntp_off_us=-77_000, tone_hz=900, seed=3)


def finished(root: Path, sender: Sender, **options: Any) -> tuple[dict[str, Any], Seen]:
    """The only file of a room with one sender, and what is in it."""
    folder = lay_out(root, [sender], **options)
    (entry,) = finish_here(folder)["files"]
    return entry, look(folder.recordings / entry["name"], entry, sender.tone_hz)


def expected_flashes(sender: Sender) -> list[float]:
    """When the first picture of each flash was captured, and was there."""
    shown = [
        (at_us - START_US) / 1000
        for at_us in sender.picture_times_us
        if not any(start <= (at_us - START_US) / 1000 < end for start, end in sender.hidden_ms)
    ]
    white = [at for at in shown if sender.is_white(round(START_US + at * 1000))]
    return [at for n, at in enumerate(white) if not n or at - white[n - 1] > 200]


@pytest.mark.parametrize(
    ("sender", "options", "extension", "codecs"),
    [
        (ALICE, {}, "webm", ("vp8", "opus")),
        (BOB, {}, "mp4", ("h264", "aac")),
        (BOB, {"mp4_sound": "opus"}, "mp4", ("h264", "opus")),
        (replace(ALICE, codec=None), {}, "webm", ("opus",)),
        (replace(ALICE, codec=None), {"sound_alone": "m4a"}, "m4a", ("aac",)),
        (replace(ALICE, sound=False), {}, "webm", ("vp8",)),
        (replace(BOB, sound=False), {}, "mp4", ("h264",)),
        (replace(BOB, reports_ms=0), {}, "mp4", ("h264", "aac")),
        (replace(ALICE, muted_ms=((1300, 1900),), hidden_ms=((2300, 2900),)), {}, "webm", ("vp8", "opus")),
        (replace(BOB, muted_ms=((1300, 1900),), hidden_ms=((2300, 2900),)), {}, "mp4", ("h264", "aac")),
        (replace(BOB, muted_ms=((0, 900),)), {}, "mp4", ("h264", "aac")),
        (replace(ALICE, hidden_ms=((0, 900),), gop=10), {}, "webm", ("vp8", "opus")),
        (replace(BOB, lost=frozenset(range(60, 140, 9))), {}, "mp4", ("h264", "aac")),
    ],
)
def test_flash_and_beep_are_where_they_were(
    tmp_path: Path, sender: Sender, options: dict[str, Any], extension: str, codecs: tuple[str, ...]
) -> None:
    entry, seen = finished(tmp_path, sender, **options)
    assert entry["name"] == f"{sender.stream}-s0.{extension}"
    assert codecs in {seen.codecs, tuple(codec.replace("opus", "libopus") for codec in seen.codecs)}
    flashes = expected_flashes(sender) if sender.codec else []
    assert seen.flashes_ms == pytest.approx([at + DELAY_MS for at in flashes], abs=ONSET_MS)
    assert seen.beeps_ms == pytest.approx([at + DELAY_MS for at in MARKS] if sender.sound else [], abs=ONSET_MS)
    end_ms = entry["end_ms"] - START_US / 1000
    assert end_ms == pytest.approx(sender.start_ms + sender.length_ms + DELAY_MS, abs=50)


def test_every_picture_is_in_the_file_at_its_time(tmp_path: Path) -> None:
    for sender in (ALICE, BOB):
        _, seen = finished(tmp_path / sender.stream, sender)
        captured = [(at_us - START_US) / 1000 + DELAY_MS for at_us in sender.picture_times_us]
        assert seen.times_ms == pytest.approx(captured, abs=ONSET_MS)


@pytest.mark.parametrize(("later", "first_us"), [("video", (0, 10_690)), ("audio", (10_690 + LOOKAHEAD_US, 0))])
def test_a_track_that_begins_within_a_millisecond_begins_there(
    tmp_path: Path, later: str, first_us: tuple[int, int]
) -> None:
    """Opus begins with what no one hears."""
    folder = lay_out(tmp_path, [BOB], mp4_sound="opus")
    for kind, after_us in zip(("audio", "video"), first_us, strict=True):
        journal = folder.journals / f"s0.{kind}.0.journal"
        with JournalReader(journal) as reader:
            first = next(record for record in reader.records() if isinstance(record, Frame))
            add_knots(journal, [Knot(rtp_us(first, reader.head.rate), float(START_US + 300_000 + after_us))])
    (entry,) = finish_here(folder)["files"]
    with av.open(str(folder.recordings / entry["name"])) as file:
        (stream,) = file.streams.get({later: 0})
        assert stream.start_time is not None
        assert stream.time_base is not None
        assert stream.start_time * stream.time_base == pytest.approx(0.010_690, abs=1 / 48_000)


def test_pictures_are_copied_and_have_the_durations_of_their_times(tmp_path: Path) -> None:
    sender = replace(BOB, hidden_ms=((2300, 2900),), sound=False)
    entry, _ = finished(tmp_path, sender)
    with av.open(str(tmp_path / "recordings" / entry["name"])) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    lasts = [packet.duration or 0 for packet in packets]
    assert lasts.count(4500) == len(lasts) - 1
    assert max(lasts) == 4500 * 13
    sent = [frame for n, frame in enumerate(pictures(sender)) if not 2300 <= 300 + n * 50 < 2900]
    # Start codes of three bytes, as key frames have, become lengths of four.
    assert [bytes(packet)[4:] for packet in packets if not packet.is_keyframe] == [
        data[4:] for data, is_key in sent if not is_key
    ]


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_a_new_size_in_the_middle_is_followed(tmp_path: Path, codec: Any) -> None:
    sender = replace(ALICE, codec=codec, sizes=((0, (160, 96)), (1500, (320, 192)), (2500, (96, 160))))
    _, seen = finished(tmp_path, sender)
    assert seen.sizes == [(160, 96)] * 30 + [(320, 192)] * 20 + [(96, 160)] * 30
    assert len(seen.flashes_ms) == 3


def test_sound_by_a_card_that_drifts_stays_with_its_picture(tmp_path: Path) -> None:
    """Ten times as much as a card may drift: otherwise the test would take an hour."""
    sender = replace(BOB, sound_drift=9e-4, length_ms=70_000, marks_ms=(1000, 35_000, 69_000), fps=5, gop=5)
    _, seen = finished(tmp_path, sender)
    assert [beep - flash for beep, flash in zip(seen.beeps_ms, seen.flashes_ms, strict=True)] == pytest.approx(
        [0, 0, 0], abs=105
    )
    assert seen.beeps_ms == pytest.approx([at + DELAY_MS for at in sender.marks_ms], abs=2 * ONSET_MS)


def test_a_screen_stays_until_its_sender_left(tmp_path: Path) -> None:
    sender = replace(ALICE, stream="alice_2", sound=False, hidden_ms=((1500, 4000),))
    entry, seen = finished(tmp_path, sender)
    assert seen.times_ms[-1] < 1600
    assert entry["end_ms"] - START_US / 1000 == pytest.approx(3500 + DELAY_MS, abs=60)


def test_a_journal_that_was_not_ended_is_used_to_its_last_whole_record(tmp_path: Path) -> None:
    folder = lay_out(tmp_path, [])
    for path in write_journals(BOB, tmp_path / "journals", "s0", ended=False):
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    (entry,) = finish_here(folder)["files"]
    assert 2500 < entry["end_ms"] - entry["start_ms"] < 4000
    seen = look(folder.recordings / entry["name"], entry, BOB.tone_hz)
    assert len(seen.flashes_ms) >= 2


def test_a_damaged_journal_is_used_up_to_the_damage_and_told(tmp_path: Path) -> None:
    folder = lay_out(tmp_path, [replace(ALICE, codec=None)])
    (path,) = folder.journals.iterdir()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    (folder.journals / "s1.audio.0.journal").write_bytes(b"")
    found = finish_here(folder)
    (entry,) = found["files"]
    assert 1500 < entry["end_ms"] - entry["start_ms"] < 2500
    assert {(one["name"], one["is_lost"]) for one in found["left_out"]} == {
        (path.name, True),
        ("s1.audio.0.journal", False),
    }


def test_two_participants_agree_whatever_their_clocks_say(tmp_path: Path) -> None:
    senders = [replace(ALICE, start_ms=100), BOB, replace(BOB, stream="carol_1", reports_ms=0, seed=9, tone_hz=1100)]
    folder = lay_out(tmp_path, senders)
    seen = {
        entry["stream"]: look(folder.recordings / entry["name"], entry, sender.tone_hz)
        for entry in finish_here(folder)["files"]
        for sender in senders
        if sender.stream == entry["stream"]
    }
    for beeps_ms in zip(*(one.beeps_ms for one in seen.values()), strict=True):
        assert max(beeps_ms) - min(beeps_ms) <= AGREE_MS
    for flashes_ms in zip(*(one.flashes_ms for one in seen.values()), strict=True):
        assert max(flashes_ms) - min(flashes_ms) <= AGREE_MS


def test_another_codec_gives_another_file_and_sound_goes_along(tmp_path: Path) -> None:
    alice = replace(ALICE, marks_ms=(1100, 2100, 3100))
    folder = lay_out(tmp_path, [alice])
    journals = tmp_path / "journals"
    later = replace(alice, codec="h264", sound=False)
    (path,) = write_journals(later, tmp_path / "other", "s0")
    with JournalReader(path) as reader:
        records = list(reader.records())
    keys = [n for n, record in enumerate(records) if isinstance(record, Frame) and record.is_key]
    writer = JournalWriter(journals / "s0.video.1.journal", reader.head)
    for record in records[keys[2] :]:
        if isinstance(record, Frame):
            writer.frame(record)
        else:
            writer.report(record)
    writer.end()
    first, second = finish_here(folder)["files"]
    assert (first["name"], second["name"]) == ("alice_1-s0.webm", "alice_1-s0-1.mp4")
    assert second["start_ms"] - START_US / 1000 == pytest.approx(2000 + DELAY_MS, abs=ONSET_MS)
    seen = look(folder.recordings / second["name"], second, alice.tone_hz)
    assert seen.beeps_ms == pytest.approx([2100 + DELAY_MS, 3100 + DELAY_MS], abs=ONSET_MS)
    before = look(folder.recordings / first["name"], first, alice.tone_hz)
    assert before.beeps_ms == pytest.approx([1100 + DELAY_MS], abs=ONSET_MS)
    assert max(before.times_ms) < 2000 + DELAY_MS


@pytest.mark.parametrize("codec", ["vp8", None])
def test_a_stream_that_was_away_has_another_file(tmp_path: Path, codec: Any) -> None:
    """Nobody subscribed to it meanwhile: its session goes on, with other journals."""
    folder = lay_out(tmp_path, [])
    away = replace(ALICE, codec=codec, start_ms=60_000, marks_ms=(61_000, 63_000))
    for number, sender in enumerate((replace(ALICE, codec=codec), away)):
        for path in write_journals(sender, tmp_path / str(number), "s0"):
            folder.journals.mkdir(exist_ok=True)
            path.rename(folder.journals / path.name.replace(".0.", f".{number + 1}."))
    first, second = finish_here(folder)["files"]
    assert [first["name"], second["name"]] == ["alice_1-s0.webm", "alice_1-s0-1.webm"]
    assert first["end_ms"] - START_US / 1000 == pytest.approx(4000 + DELAY_MS, abs=50)
    for entry, marks in ((first, MARKS), (second, away.marks_ms)):
        seen = look(folder.recordings / entry["name"], entry, ALICE.tone_hz)
        assert seen.beeps_ms == pytest.approx([at + DELAY_MS for at in marks], abs=ONSET_MS)
        assert seen.flashes_ms == pytest.approx([at + DELAY_MS for at in marks] if codec else [], abs=ONSET_MS)


def test_what_has_no_key_frame_is_left_out_with_the_reason_and_its_sound_stays(tmp_path: Path) -> None:
    folder = lay_out(tmp_path, [replace(ALICE, codec=None)])
    head = JournalHead("s0", StreamId("alice", 1), "video", "vp8", 90_000)
    writer = JournalWriter(tmp_path / "journals" / "s0.video.0.journal", head)
    for n, (data, is_key) in enumerate(pictures(ALICE)):
        if not is_key:
            writer.frame(Frame(n * 4500, START_US + n * 50_000, False, data))
    JournalWriter(tmp_path / "journals" / "s1.audio.0.journal", replace(head, session="s1", kind="audio", codec="opus"))
    found = finish_here(folder)
    assert [entry["name"] for entry in found["files"]] == ["alice_1-s0.webm"]
    assert [(one["name"], one["reason"]) for one in found["left_out"]] == [
        ("s1.audio.0.journal", "it has no frames"),
        ("s0.video.0.journal", "it has no key frame, so nothing of it can be shown"),
    ]


def test_nothing_gives_no_index(tmp_path: Path) -> None:
    folder = lay_out(tmp_path, [])
    assert finish_here(folder) == {"files": [], "left_out": [], "index": None, "uploaded": [], "warnings": []}
    assert not (tmp_path / "index.json").exists()


def test_again_the_same_bytes_and_nothing_is_made_twice(tmp_path: Path) -> None:
    senders = [ALICE, BOB, replace(BOB, stream="carol_1", sound=False)]
    folder = lay_out(tmp_path / "one", senders)
    found = finish_here(folder)
    made = {path.name: path.read_bytes() for path in folder.recordings.iterdir()}
    inodes = {path: path.stat().st_ino for path in folder.recordings.iterdir()}
    assert finish_here(folder) == found
    assert {path: path.stat().st_ino for path in folder.recordings.iterdir()} == inodes
    other = lay_out(tmp_path / "two", senders)
    assert finish_here(other, "s1")["files"] == [entry for entry in found["files"] if "-s1." in entry["name"]]
    assert not (other.root / "index.json").exists()
    assert finish_here(other) == found
    assert {path.name: path.read_bytes() for path in other.recordings.iterdir()} == made


def test_a_journal_that_grew_is_finished_anew(tmp_path: Path) -> None:
    folder = lay_out(tmp_path, [replace(ALICE, codec=None, length_ms=1000)])
    (short,) = finish_here(folder)["files"]
    for path in folder.journals.iterdir():
        path.unlink()
    write_journals(replace(ALICE, codec=None), folder.journals, "s0")
    (long,) = finish_here(folder)["files"]
    assert long["end_ms"] - short["end_ms"] > 2500
    assert long["name"] == short["name"]


def test_sounds_are_copied(tmp_path: Path) -> None:
    entry, _ = finished(tmp_path, ALICE)
    with av.open(str(tmp_path / "recordings" / entry["name"])) as file:
        assert [bytes(packet) for packet in file.demux(audio=0) if packet.size] == list(sounds(ALICE))

"""The parts of a live mix: clocks that are fixed, journals that grow, chunks that are kept, and gaps."""

from __future__ import annotations

import json
import resource
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from owtmix.base.ids import StreamId
from owtmix.live.journal_picture import JournalPicture
from owtmix.live.journal_sources import MOST_RESTING, OpenJournals
from owtmix.live.live_source import LiveSource
from owtmix.live.mix_folder import Chunk, MixFolder
from owtmix.live.track_log import US, LiveTrack
from owtmix.recorder.clock import Knot, between, fixed_clock, place, rtp_us
from owtmix.recorder.file_plan import FileFormats, plan_files
from owtmix.recorder.fixed_clock import add_knots, clock_file, read_knots
from owtmix.recorder.journal import Frame, JournalHead, JournalReader, JournalWriter
from owtmix.recorder.journal_scan import scan_journal
from owtmix.recorder.live_folder import LONGEST_WARNING, MOST_WARNINGS, LiveFolder
from owtmix.render.callbacks import no_heartbeat
from owtmix.render.limiter import Limiter, limit
from tests.recorder.senders import START_US, Sender, write_journals

SILENCE = b"\xf8\xff\xfe"
HEAD = JournalHead("s0", StreamId.parse("alice_1"), "audio", "opus", 48_000)


def test_between_knots_is_a_line_and_outside_clocks_are_as_fast() -> None:
    knots = (Knot(0, 1000), Knot(100, 1300), Knot(200, 1400))
    assert [between(knots, at) for at in (-50, 0, 50, 100, 150, 200, 250)] == [950, 1000, 1150, 1300, 1350, 1400, 1450]


def test_a_fixed_clock_believes_its_knots() -> None:
    clock = fixed_clock(1000, (Knot(0, float(START_US)),))
    assert clock.time_us(Frame(500, START_US + 510_000, is_key=True, data=b"")) == START_US + 500_000
    late = Frame(600, START_US + 90_000_000, is_key=True, data=b"")
    assert clock.time_us(late) == late.arrived_us, "its clock has jumped"


def test_knots_are_read_as_far_as_they_were_written_whole(tmp_path: Path) -> None:
    journal = tmp_path / "s0.audio.0.journal"
    assert read_knots(journal) == ()
    add_knots(journal, [Knot(1.5, 2.5)])
    add_knots(journal, [Knot(3.0, 4.0)])
    assert read_knots(journal) == (Knot(1.5, 2.5), Knot(3.0, 4.0))
    with clock_file(journal).open("ab") as file:
        file.write(b"[5.0, 6")
    assert read_knots(journal) == (Knot(1.5, 2.5), Knot(3.0, 4.0))


@pytest.mark.parametrize(
    "line", ["[1]", "[1, 1]", "null", '["a", 2]', "[9e99, 9e99]", "[" * 10_000, "[NaN, NaN]", "[4, 3]"]
)
def test_junk_among_knots_ends_them(tmp_path: Path, line: str) -> None:
    journal = tmp_path / "s0.audio.0.journal"
    add_knots(journal, [Knot(2.0, 3.0)])
    with clock_file(journal).open("a") as file:
        file.write(f"{line}\n[7.0, 8.0]\n")
    assert read_knots(journal) == (Knot(2.0, 3.0),)


def test_a_clock_that_is_wrong_is_set_right_slowly_and_for_ever(tmp_path: Path) -> None:
    journal = write_journals(Sender("alice_1", codec=None, length_ms=60_000), tmp_path, "s0")[0]
    track = LiveTrack(journal)
    track.read(0, no_heartbeat)
    (clock,) = place([track.log])
    first = track.scan().first
    assert first
    first_us = rtp_us(first, clock.rate)
    late = fixed_clock(clock.rate, (Knot(first_us, clock.placed(first_us) + 50_000),))
    track.fix(late)
    wrong_us = []
    for edge_s in range(2, 60, 2):
        edge_us = START_US + edge_s * US
        track.set_right(clock, edge_us)
        track.advance(edge_us)
        wrong_us.append(track.captured.last_us - START_US - (edge_s * US - 20_000))
    assert LiveTrack(journal).scan().knots == track.scan().knots == read_knots(journal)
    steps = np.diff(wrong_us)
    assert wrong_us[0] == pytest.approx(0, abs=20_000), "the last packet before an edge"
    shift = [between(track.scan().knots, knot.rtp_us) - clock.placed(knot.rtp_us) for knot in track.scan().knots]
    assert shift[0] == pytest.approx(50_000, abs=1)
    assert abs(shift[-1]) < 4_000, "it is right in the end"
    for before, after in zip(track.scan().knots, track.scan().knots[1:], strict=False):
        slope = (after.at_us - before.at_us) / (after.rtp_us - before.rtp_us)
        assert slope == pytest.approx(1, abs=0.0021)
    assert max(abs(steps)) <= 20_000


def test_what_was_fixed_is_not_changed_by_a_new_process(tmp_path: Path) -> None:
    journal = write_journals(Sender("alice_1", codec=None), tmp_path, "s0")[0]
    track = LiveTrack(journal)
    track.read(0, no_heartbeat)
    track.fix(place([track.log])[0])
    with clock_file(journal).open("ab") as file:
        file.write(b"[5.0, 6")  # it was killed
    again = LiveTrack(journal)
    add_knots(journal, [Knot(again.scan().knots[-1].rtp_us + 1e6, again.scan().knots[-1].at_us + 1e6)])
    assert len(read_knots(journal)) == 2


def test_a_record_of_which_a_part_is_written_is_read_later(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    writer = JournalWriter(whole, HEAD)
    for number in range(3):
        writer.frame(Frame(number, number, is_key=True, data=bytes(50)))
    writer.end()
    data = whole.read_bytes()
    grown = tmp_path / "grown"
    begun = data.index(b"\n", 7) + 1
    grown.write_bytes(data[:begun])
    found = []
    with JournalReader(grown) as reader:
        for end in range(begun, len(data) + 1):
            with grown.open("ab") as file:
                file.write(data[end - 1 : end] if end > begun else b"")
            found += [record.rtp for record in reader.records()]
        assert reader.ended
    assert found == [0, 1, 2]


def test_blocks_that_are_pushed_are_limited_as_a_whole_sound() -> None:
    chance = np.random.default_rng(5)
    sound = (chance.standard_normal((2, 50_000)) * 0.6).astype(np.float32)
    limiter, found = Limiter(), []
    for start in range(0, 50_000, 7001):
        found += [*limiter.push(sound[:, start : start + 7001])]
    found += [*limiter.finish()]
    assert np.array_equal(np.concatenate(found, axis=1), np.concatenate([*limit([sound])], axis=1))


def taken(live: MixFolder, n: int) -> None:
    made = {}
    for name in ("track", "sound", "segment"):
        made[name] = live.bench / name
        made[name].write_bytes(bytes([n]) * (n + 1))
    live.take(Chunk(n, (n * 10, n * 10 + 10), n * 90), made, 1000)


@pytest.mark.parametrize("damage", ["none", "a line in part", "a track that is gone", "a sound that is cut"])
def test_chunks_are_taken_up_as_far_as_they_are_whole(tmp_path: Path, damage: str) -> None:
    live = MixFolder(tmp_path)
    with live.locked():
        for n in range(3):
            taken(live, n)
        match damage:
            case "a line in part":
                with (live.root / "chunks.jsonl").open("a") as file:
                    file.write('{"n": 3')
            case "a track that is gone":
                live.track(1).unlink()
            case "a sound that is cut":
                live.sound(1).write_bytes(b"")
            case _:
                pass
    again = MixFolder(tmp_path)
    with again.locked():
        assert [chunk.n for chunk in again.chunks] == (
            [0] if damage.startswith("a track") or "cut" in damage else [0, 1, 2]
        )
        taken(again, len(again.chunks))
        lines = (again.root / "chunks.jsonl").read_text().splitlines()
    assert [json.loads(line)["n"] for line in lines] == list(range(len(again.chunks)))


def test_a_chunk_that_is_kept_has_its_segment(tmp_path: Path) -> None:
    """It is not made again, whenever that is killed, and so neither is what is pushed of it."""
    live = MixFolder(tmp_path)
    with live.locked():
        (live.root / "chunks.jsonl").unlink()
        (live.root / "chunks.jsonl").mkdir()
        with pytest.raises(IsADirectoryError):
            taken(live, 0)
        assert [path.name for path in live.segments.iterdir()] == ["000000.flv"]


def test_no_line_stays_that_was_written_in_part(tmp_path: Path) -> None:
    live = MixFolder(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with live.locked():
        taken(live, 0)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, ((live.root / "chunks.jsonl").stat().st_size + 10, limits[1]))
            with pytest.raises(OSError, match="full"):
                taken(live, 1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        taken(live, 1)
    again = MixFolder(tmp_path)
    with again.locked():
        assert [chunk.n for chunk in again.chunks] == [0, 1]


def test_of_a_long_journal_nothing_is_held_that_is_composed(tmp_path: Path) -> None:
    """Whoever goes on after a kill reads it from its beginning."""
    journal = tmp_path / "s0.audio.0.journal"
    writer = JournalWriter(journal, HEAD)
    for n in range(5000):
        writer.frame(Frame(n * 960, START_US + n * 20_000, is_key=True, data=SILENCE))
    writer.end()
    add_knots(journal, [Knot(0.0, float(START_US))])
    track = LiveTrack(journal)
    beats: list[int] = []
    track.read(START_US + 50_000_000, lambda: beats.append(1))
    assert len(beats) >= 5
    assert track.captured.last_us == START_US + 50_000_000 - 20_000
    track.advance(START_US + 200_000_000)
    assert track.captured.last_us == START_US + 4999 * 20_000


def test_clocks_that_are_fixed_are_placed_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (journal,) = write_journals(Sender("alice_1", codec=None), tmp_path, "s0")
    whole, _ = plan_files([scan_journal(journal)], FileFormats())
    add_knots(journal, [Knot(0.0, float(START_US))])
    scan = scan_journal(journal)
    monkeypatch.delattr("owtmix.recorder.file_plan.place")
    (plan,), _ = plan_files([scan], FileFormats())
    assert plan.name == whole[0].name
    assert plan.sounds[0].clock.placed(1e6) == START_US + 1e6


def test_a_picture_that_is_shown_again_goes_on_where_it_was(tmp_path: Path) -> None:
    """To read it from its beginning takes seconds after an hour."""
    sender = Sender("alice_1", sound=False, length_ms=8000)
    (journal,) = write_journals(sender, tmp_path, "s0")
    (plan,), _ = plan_files([scan_journal(journal)], FileFormats())
    source, opened = LiveSource(plan, START_US), OpenJournals()
    picture = opened.picture(source)
    assert picture.frame_at(Fraction(1), lambda: None)
    opened.keep([])
    assert opened.picture(source) is picture
    fresh = JournalPicture(plan, START_US)
    for at_s in (5, 6):
        found, wanted = picture.frame_at(Fraction(at_s), lambda: None), fresh.frame_at(Fraction(at_s), lambda: None)
        assert found
        assert wanted
        assert np.array_equal(found.frame.to_ndarray(), wanted.frame.to_ndarray())
    fresh.close()
    for n in range(20):
        opened.picture(LiveSource(plan, START_US + 1 + n))
    opened.keep([source])
    assert len(opened.pictures) == 1 + MOST_RESTING
    assert opened.picture(source) is picture


def test_only_the_last_segments_are_kept(tmp_path: Path) -> None:
    live = MixFolder(tmp_path)
    with live.locked():
        for n in range(35):
            taken(live, n)
        names = sorted(path.name for path in live.segments.iterdir())
    assert (len(names), names[0], names[-1]) == (30, "000005.flv", "000034.flv")


def test_what_is_told_stays_short_however_much_is_wrong(tmp_path: Path) -> None:
    """A longer file counts as none, and a mix that tells nothing as one that hangs."""
    folder = MixFolder(tmp_path)
    folder.tell({"chunks": 7, "warnings": [f"{number} " + "x" * 5000 for number in range(2000)]})
    state = LiveFolder(tmp_path).state()
    assert state
    assert (state.chunks, len(state.warnings), len(state.warnings[0])) == (7, MOST_WARNINGS, LONGEST_WARNING)

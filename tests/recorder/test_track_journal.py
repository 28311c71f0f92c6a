"""The journals of a track: when one begins and ends, and what a disk that is full leaves."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from owtmix.base.ids import StreamId
from owtmix.recorder.journal import Codec, Kind, Report
from owtmix.recorder.pace import Pace
from owtmix.recorder.rtp.reception import EncodedFrame
from owtmix.recorder.track_journal import BREAK_EVERY_US, MOST_BREAKS, RETRY_US, TrackJournal, TrackTime
from tests.support.live import JournalContent, read_journal


class Written:
    """A track's journals, what it asked for and what it told."""

    def __init__(self, folder: Path, kind: Kind = "video", *, wanted: bool = True) -> None:
        self.folder = folder
        self.keys = 0
        self.told: list[str | None] = []
        self.track = TrackJournal(
            folder, "a1", StreamId("alice", 1), kind, TrackTime(48_000), self._need_key, self.told.append
        )
        self.track.want(wanted=wanted)

    def _need_key(self) -> None:
        self.keys += 1

    def frame(self, n: int, *, key: bool = False, codec: Codec = "vp8", timeline: int = 0) -> None:
        self.track.frame(EncodedFrame(codec, timeline, 3000 * n, key, b"%d" % n * 50, 33_333 * n))

    def journals(self) -> list[JournalContent]:
        return [read_journal(path) for path in sorted(self.folder.iterdir())]


def numbers(journal: JournalContent) -> list[int]:
    return [frame.rtp // 3000 for frame in journal.frames]


def test_frames_and_reports_go_into_one_journal(tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.track.report(0, Report(0, 0, 0))
    for n in range(5):
        written.frame(n, key=n == 0)
        written.track.report(0, Report(n, n, n))
    written.track.sync()
    assert not written.journals()[0].ended
    written.track.finish()
    (journal,) = written.journals()
    assert journal.path.name == "a1.video.1.journal"
    assert (numbers(journal), len(journal.reports), journal.ended) == ([0, 1, 2, 3, 4], 5, True)
    assert (journal.stream, journal.codec, written.track.written) == ("alice_1", "vp8", 5)


def test_another_codec_and_another_timeline_have_journals_of_their_own(tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.frame(0, key=True)
    written.frame(1, key=True, codec="h264")
    written.frame(2, codec="h264")
    written.frame(3, key=True, codec="h264", timeline=1)
    written.track.report(0, Report(1, 2, 3))
    written.track.report(1, Report(4, 5, 6))
    written.track.finish()
    journals = written.journals()
    assert [(journal.codec, numbers(journal), journal.ended) for journal in journals] == [
        ("vp8", [0], True),
        ("h264", [1, 2], True),
        ("h264", [3], True),
    ]
    assert [len(journal.reports) for journal in journals] == [0, 0, 1]


def test_what_is_not_wanted_is_not_written_and_what_comes_back_begins_with_a_key(tmp_path: Path) -> None:
    written = Written(tmp_path, wanted=False)
    written.frame(0, key=True)
    assert (written.journals(), written.keys, written.track.last_us) == ([], 0, 0)
    written.track.want(wanted=True)
    assert written.keys == 1
    written.frame(1, key=True)
    written.track.want(wanted=False)
    written.track.want(wanted=False)
    written.frame(2)
    written.track.want(wanted=True)
    written.frame(3, key=True)
    assert written.keys == 2
    written.track.finish()
    assert [numbers(journal) for journal in written.journals()] == [[1], [3]]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """As a disk that is full: no file grows beyond ``size`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_after_a_full_disk_a_journal_goes_on_with_a_key_frame(tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.frame(0, key=True)
    with largest_file((tmp_path / "a1.video.1.journal").stat().st_size + 50):
        for n in range(1, 80):
            written.frame(n, key=n == 70)
    assert [bool(told) for told in written.told] == [True]
    assert written.keys == 2  # at the begin, and after a second
    retry = 70 + RETRY_US // 33_333 + 1
    written.frame(retry)
    written.frame(retry + 1, key=True)
    written.frame(retry + 2)
    assert [bool(told) for told in written.told] == [True, False]
    written.track.finish()
    (journal,) = written.journals()
    assert (numbers(journal), journal.ended) == ([0, retry + 1, retry + 2], True)


def test_a_journal_that_cannot_be_begun_leaves_nothing(tmp_path: Path) -> None:
    written = Written(tmp_path)
    with largest_file(10):
        written.frame(0, key=True)
    assert written.journals() == []
    assert len(written.told) == 1
    written.frame(100, key=True)
    written.track.finish()
    assert [numbers(journal) for journal in written.journals()] == [[100]]


@pytest.mark.parametrize("name", ["a1.video.1.journal"])
def test_a_folder_that_is_gone_is_told(tmp_path: Path, name: str) -> None:
    written = Written(tmp_path / "gone")
    written.frame(0, key=True)
    assert written.told
    (tmp_path / "gone").mkdir()
    written.frame(100, key=True)
    written.track.finish()
    assert (tmp_path / "gone" / name).is_file()


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_a_sender_that_breaks_off_all_the_time_has_few_journals(tmp_path: Path, kind: Kind) -> None:
    """Frames that would need another one are dropped, until it is time; a picture's begins with a key then."""
    written = Written(tmp_path, kind)
    frames = 30 * BREAK_EVERY_US // 33_333 // 10
    for n in range(frames):
        written.frame(n, key=True, codec="vp8" if kind == "video" else "opus", timeline=n)
    written.track.finish()
    journals = written.journals()
    assert len(journals) == 1 + MOST_BREAKS + frames * 33_333 // BREAK_EVERY_US
    assert all(len(numbers(journal)) == 1 and journal.ended for journal in journals)
    assert written.keys >= frames - len(journals)


def test_a_sender_that_settles_is_recorded_again(tmp_path: Path) -> None:
    written = Written(tmp_path)
    for n in range(40):
        written.frame(n, key=True, timeline=n)
    for n in range(40, 600):
        written.frame(n, key=True, timeline=40)
    written.track.finish()
    last = max(written.journals(), key=lambda journal: numbers(journal)[0])
    assert numbers(last)[0] < 40 + BREAK_EVERY_US // 33_333 + 1
    assert numbers(last)[-1] == 599


def test_a_pace_is_the_same_with_any_clock() -> None:
    pace = Pace(2, 10)
    assert [pace.allows(at_us) for at_us in (100, 100, 100, 109, 110, 90, 99, 100, 500, 500, 500)] == [
        *(True, True, False, False, True),
        *(False, False, True, True, True, False),
    ]
    assert (pace.is_rested(519), pace.is_rested(520)) == (False, True)

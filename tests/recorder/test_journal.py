"""Journals: what was written is read, up to the last whole record, whatever is cut or damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from owtmix.base.ids import StreamId
from owtmix.recorder.journal import Frame, JournalError, JournalHead, JournalReader, JournalWriter, Report

HEAD = JournalHead("a1b2", StreamId("alice", 1), "video", "vp8", 90_000)
RECORDS = [Frame(3000 * n, 33_000 * n, n % 2 == 0, bytes([n]) * n * 100) for n in range(5)] + [Report(1, 2, -3)]


def written(path: Path, *, ended: bool = True) -> bytes:
    writer = JournalWriter(path, HEAD)
    for record in RECORDS:
        if isinstance(record, Frame):
            writer.frame(record)
        else:
            writer.report(record)
    writer.sync()
    if ended:
        writer.end()
    return path.read_bytes()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    written(tmp_path / "j")
    with JournalReader(tmp_path / "j") as reader:
        assert (reader.head, list(reader.records()), reader.ended) == (HEAD, RECORDS, True)


def test_a_journal_is_read_while_it_is_written(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "j", HEAD)
    with JournalReader(tmp_path / "j") as reader:
        for record in RECORDS[:5]:
            assert isinstance(record, Frame)
            writer.frame(record)
            assert list(reader.records()) == [record]
            assert not reader.ended
        writer.end()
        assert list(reader.records()) == []
        assert reader.ended


def test_cut_anywhere_the_whole_records_are_read(tmp_path: Path) -> None:
    data = written(tmp_path / "whole")
    begin = data.index(b"\n", 6) + 1
    for size in range(begin, len(data)):
        (tmp_path / "cut").write_bytes(data[:size])
        with JournalReader(tmp_path / "cut") as reader:
            found = list(reader.records())
            assert found == RECORDS[: len(found)]
            assert not reader.ended
    assert found == RECORDS


@pytest.mark.parametrize("place", [60, 200, 500, 900])
def test_nothing_damaged_is_read(tmp_path: Path, place: int) -> None:
    data = bytearray(written(tmp_path / "whole"))
    data[-place] ^= 0x10
    (tmp_path / "damaged").write_bytes(data)
    with JournalReader(tmp_path / "damaged") as reader:
        found = list(reader.records())
        assert found == RECORDS[: len(found)]
        assert len(found) < len(RECORDS)


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"OWTJ1\n",
        b"RIFF....",
        b"OWTJ1\n{}\n",
        b'OWTJ1\n{"session":"a","stream":"x","kind":"audio","codec":"opus","rate":1}\n',
        b'OWTJ1\n{"session":"../a","stream":"x_1","kind":"audio","codec":"opus","rate":1}\n',
        b'OWTJ1\n{"session":"a","stream":"x_1","kind":"audio","codec":"opus","rate":0}\n',
        b"OWTJ1\n" + b"[" * 60_000 + b"\n",
    ],
)
def test_what_is_no_journal_is_refused(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "junk").write_bytes(junk)
    with pytest.raises(JournalError):
        JournalReader(tmp_path / "junk")

"""Guesses from job files, indexes and sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from owtmix.base.named_file import read_named_file
from owtmix.batch.attempt import BatchJob
from owtmix.batch.capacity import Room
from owtmix.batch.cost import MAIN_BYTES, WORKER_BYTES, Guess, Guesser
from owtmix.batch.estimates import Estimates
from owtmix.batch.job_files import read_job_file

KEYS: Final = ("$JobId.json", "$JobId/index.json")
MIB: Final = 1 << 20


def write(folder: Path, index: Any, index_key: str = "room.json", **changes: Any) -> BatchJob:
    """A job whose recordings are in ``folder``."""
    storage = {"Vendor": "local", "Bucket": "."}
    data: dict[str, Any] = {
        "TranscodingConfig": {"Video": {"Width": 1280, "Height": 720, "BitRate": 1000}},
        "RecordingConfig": {"StorageConfig": storage},
    }
    cfg = folder / "cfg.json"
    cfg.write_text(json.dumps({"Action": "job.start", "Internal": {"JobId": "room"}, "Data": data | changes}))
    (folder / index_key).parent.mkdir(exist_ok=True)
    (folder / index_key).write_text(index if isinstance(index, str) else json.dumps(index))
    return BatchJob("room", cfg, "key")


def guess(job: BatchJob) -> Guess:
    return Guesser(KEYS).guess(job)


def entry(stream: str = "a_1", name: str = "a.webm", start: Any = 0, end: Any = None) -> dict[str, Any]:
    return {"StreamId": stream, "Name": name, "StartTime": start} | ({} if end is None else {"EndTime": end})


@pytest.mark.parametrize(
    ("files", "length_s"),
    [
        ([entry(start=1_795_327_385_000, end=1_795_327_445_000)], 60),
        ([entry(start=1_795_327_385, end=1_795_327_445)], 60),
        ([entry(start=0, end=60_000)], 60),
        ([entry(start=0.5, end=60.5)], 60),
        ([entry(start="0", end="60000"), entry("b_1", start=30_000, end=90_000)], 90),
        ([entry(start=0, end=60_000), "junk", entry(start="x")], 60),
        ([entry(start=0, end=10**13)], 7 * 86_400),
    ],
)
def test_the_length_is_that_of_the_index(tmp_path: Path, files: list[Any], length_s: float) -> None:
    assert guess(write(tmp_path, {"Files": files})).output_s == pytest.approx(length_s)


def test_without_ends_sizes_say_how_long_it_is(tmp_path: Path) -> None:
    (tmp_path / "rec").mkdir()
    (tmp_path / "rec" / "a.webm").write_bytes(bytes(1_000_000))
    job = write(tmp_path, {"Root": "rec", "Files": [entry(start=0), entry("b_1", "b.webm", 2000)]}, "room/index.json")
    assert guess(job).output_s == pytest.approx(8)


def test_longer_rooms_larger_pictures_and_more_streams_cost_more(tmp_path: Path) -> None:
    files = [entry(end=60_000)]
    plain = guess(write(tmp_path, {"Files": files}))
    longer = guess(write(tmp_path, {"Files": [entry(end=600_000)]}))
    more = guess(write(tmp_path, {"Files": [entry(f"{n}_1", end=60_000) for n in range(9)]}))
    video = {"Video": {"Width": 1920, "Height": 1080}}
    larger = guess(write(tmp_path, {"Files": files}, TranscodingConfig=video))
    assert plain.cost
    assert all(other.cost and other.cost > plain.cost for other in (longer, more, larger))
    assert min(more.memory_bytes, larger.memory_bytes) > plain.memory_bytes > MAIN_BYTES + WORKER_BYTES
    assert longer.disk_bytes > plain.disk_bytes > 60 * 1_000_000 / 8


def test_a_card_is_told_how_many_streams_there_are_at_once(tmp_path: Path) -> None:
    files = [entry(end=60_000), entry(name="sound.webm", end=60_000), entry("b_1", start=30_000, end=60_000)]
    assert guess(write(tmp_path, {"Files": files})).room == Room(1.5, output_px=1280 * 720, output_fps=15)
    video = {"Video": {"Width": 1920, "Height": 1080, "Fps": 30}}
    many = [entry(f"{n}_1", end=60_000) for n in range(9)]
    larger = guess(write(tmp_path, {"Files": many}, TranscodingConfig=video)).room
    assert larger == Room(9, output_px=1920 * 1080, output_fps=30)
    assert guess(write(tmp_path, "junk")).room is None


def test_overrides_count(tmp_path: Path) -> None:
    job = write(tmp_path, {"Files": [entry(end=60_000)]})
    (tmp_path / "other.json").write_text(json.dumps({"Files": [entry(end=120_000)]}))
    renamed = BatchJob("x", job.cfg, "key", {"Internal.JobId": '"other"'})
    assert guess(renamed).output_s == 120
    assert guess(BatchJob("x", job.cfg, "key", index=str(tmp_path / "other.json"))).output_s == 120
    assert guess(BatchJob("x", job.cfg, "key", index="other.json")).output_s == 120


def test_a_file_that_many_jobs_share_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = write(tmp_path, {"Files": [entry(end=60_000)]}, Other={"x": ["y" * 1000]})
    read: list[Path] = []

    def count(path: Path, most: int) -> bytes:
        read.append(path)
        return read_named_file(path, most)

    for module in ("cost", "job_files"):
        monkeypatch.setattr(f"owtmix.batch.{module}.read_named_file", count)
    guesser = Guesser(KEYS)
    index = str(tmp_path / "room.json")
    for number in range(20):
        overrides = {"Internal.JobId": f'"{number}"', "Data.TranscodingConfig.Video.Width": str(100 + number)}
        found = guesser.guess(BatchJob(str(number), job.cfg, "key", overrides, index=index))
        assert (found.output_s, found.room and found.room.output_px) == (60, (100 + number) * 720)
    assert read == [job.cfg, tmp_path / "room.json"]


def test_of_a_large_job_file_little_is_kept(tmp_path: Path) -> None:
    job = write(tmp_path, {"Files": [entry(end=60_000)]}, Other=["y" * 900_000], InputConfig={"Index": "z" * 90_000})
    assert len(json.dumps(read_job_file(job.cfg).parts)) < 10_000


@pytest.mark.parametrize(
    "index",
    [
        "",
        "[",
        "[]",
        '{"Files": 7}',
        '{"Files": []}',
        '{"Files": [{"StartTime": "x"}]}',
        "[" * 100_000,
        '{"Files": [{"StartTime": 1e999}]}',
    ],
)
def test_a_broken_index_says_nothing(tmp_path: Path, index: str) -> None:
    found = guess(write(tmp_path, index))
    assert (found.output_s, found.cost) == (None, None)
    assert found.memory_bytes


def test_a_store_is_not_asked(tmp_path: Path) -> None:
    storage = {"StorageConfig": {"Vendor": "ufile", "Bucket": "b"}}
    assert guess(write(tmp_path, {"Files": [entry(end=1000)]}, RecordingConfig=storage)).cost is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"Data": 7}', '{"Data": {"RecordingConfig": []}}', "[" * 100_000]
)
def test_a_broken_job_file_takes_little(tmp_path: Path, text: str) -> None:
    (tmp_path / "cfg.json").write_text(text)
    found = guess(BatchJob("x", tmp_path / "cfg.json", "key"))
    assert (found.output_s, found.cost, found.disk_bytes) == (None, None, 0)
    assert guess(BatchJob("x", tmp_path / "missing.json", "key")) == Guess()


def test_memory_is_corrected_by_what_most_jobs_took() -> None:
    estimates = Estimates()
    assert estimates.memory_bytes(500 * MIB) == 500 * MIB
    for _ in range(20):
        estimates.learn_memory(500 * MIB, 90)
    assert estimates.memory_bytes(500 * MIB) == pytest.approx(250 * MIB * 1.1, rel=0.01)
    estimates.learn_memory(500 * MIB, 5000)
    assert estimates.memory_bytes(500 * MIB) == pytest.approx(250 * MIB * 1.1, rel=0.01)
    assert estimates.memory_bytes(500 * MIB, peak_mib=1000) > 1000 * MIB


def test_time_is_told_by_what_jobs_took() -> None:
    estimates = Estimates()
    assert estimates.seconds(10) is None
    estimates.learn_time(10, 30)
    estimates.learn_time(0, 1)
    assert estimates.seconds(20) == 62

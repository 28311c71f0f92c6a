"""The index (API document, section 11.2): units of time, keys of files, and error messages."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.base.errors import InputError
from owtmix.base.ids import StreamId
from owtmix.jobfile.index import Index, TimeUnitSetting
from owtmix.jobfile.index_reader import read_index

EPOCH_MS: Final = 1_795_327_385_000
EPOCH_S: Final = 1_795_327_385


def entry(start: object, end: object = None, *, stream: str = "alice_1", name: str = "a.mp4") -> dict[str, Any]:
    return {"StreamId": stream, "Name": name, "StartTime": start} | ({} if end is None else {"EndTime": end})


def index_of(*files: object, time_unit: TimeUnitSetting = "auto", strict: bool = False, **keys: object) -> Index:
    document = {"JobId": "room", "RoomId": "7", "Root": "dir", "Files": list(files)} | keys
    return read_index(json.dumps(document).encode(), time_unit=time_unit, strict=strict)


def starts(
    *times: object, base: object = None, time_unit: TimeUnitSetting = "auto"
) -> tuple[str, list[int | Fraction]]:
    """The unit that is found, and the StartTime of each file in seconds."""
    index = index_of(*map(entry, times), StartTime=base, time_unit=time_unit)
    return index.unit, [recording.start_s for recording in index.files]


def refusal_of(*files: object, **keys: Any) -> str:
    with pytest.raises(InputError) as refusal:
        index_of(*files, **keys)
    return str(refusal.value)


def test_an_index_is_read_whole() -> None:
    first = entry(EPOCH_MS, EPOCH_MS + 1500)
    second = entry(EPOCH_MS + 1, stream="room_7_bob_2", name="x/b.webm")
    index = index_of(first, second, StartTime=EPOCH_MS)
    assert (index.job_id, index.room_id, index.unit, index.has_epoch) == ("room", "7", "epoch-milliseconds", True)
    alice, bob = index.files
    assert (alice.stream, alice.key) == (StreamId("alice", 1), "dir/a.mp4")
    assert (alice.start_s, alice.end_s) == (Fraction(EPOCH_S), EPOCH_S + Fraction(3, 2))
    assert (bob.stream, bob.key, bob.end_s) == (StreamId("room_7_bob", 2), "dir/x/b.webm", None)
    assert bob.start_s == EPOCH_S + Fraction(1, 1000)
    assert index.warnings == ()


def test_the_largest_time_decides_the_unit() -> None:
    assert starts(EPOCH_MS, 10**11) == ("epoch-milliseconds", [EPOCH_S, 10**8])
    assert starts(EPOCH_S, 10**8) == ("epoch-seconds", [EPOCH_S, 10**8])
    assert starts(EPOCH_S + 0.25) == ("epoch-seconds", [EPOCH_S + Fraction(1, 4)])
    assert starts(0, 1500) == ("milliseconds", [0, Fraction(3, 2)])
    assert starts(0, 12, 1.5) == ("seconds", [0, 12, Fraction(3, 2)])
    assert starts(10**8 - 1) == ("milliseconds", [Fraction(10**8 - 1, 1000)])


@pytest.mark.parametrize("name", ["StartTime", "EndTime"])
def test_no_calendar_has_times_beyond_the_year_9999(name: str) -> None:
    """The file says when the room was, and clocks show it."""
    newer = 253_370_764_800
    file = entry(EPOCH_S, newer) if name == "EndTime" else entry(newer)
    refusal = refusal_of(file, time_unit="epoch-seconds")
    assert f"Files[0].{name}: found {newer}; accepted: a time before the year 9999" in refusal
    assert starts(newer - 1, time_unit="epoch-seconds") == ("epoch-seconds", [newer - 1])
    assert starts(newer, time_unit="seconds") == ("seconds", [newer])


def test_small_times_are_relative_to_the_start_time_of_the_index() -> None:
    assert starts(0, 1500, base=EPOCH_MS) == ("epoch-milliseconds", [EPOCH_S, EPOCH_S + Fraction(3, 2)])
    assert starts(0, 1.5, base=EPOCH_MS) == ("epoch-milliseconds", [EPOCH_S, EPOCH_S + Fraction(3, 2)])
    assert starts(0, 1500, base=EPOCH_S) == ("epoch-seconds", [EPOCH_S, EPOCH_S + Fraction(3, 2)])
    assert starts(0, 1500, base=500) == ("milliseconds", [Fraction(1, 2), 2])
    assert starts(0, 1, base=0.5) == ("seconds", [Fraction(1, 2), Fraction(3, 2)])


def test_a_mixture_of_small_times_and_times_since_1970_is_warned_of() -> None:
    (warning,) = index_of(entry(EPOCH_MS), entry(1500, name="b.mp4"), StartTime=EPOCH_MS).warnings
    assert "read as milliseconds after StartTime" in warning


def test_a_small_time_is_refused_beside_epoch_times_without_an_epoch_start_time() -> None:
    assert "Files[1].StartTime: found 5;" in refusal_of(entry(EPOCH_MS), entry(5))


def test_the_unit_can_be_fixed() -> None:
    assert starts(1500, time_unit="milliseconds") == ("milliseconds", [Fraction(3, 2)])
    assert starts(1500, time_unit="seconds") == ("seconds", [1500])
    assert starts(1500, time_unit="epoch-seconds", base=EPOCH_S) == ("epoch-seconds", [1500])
    assert starts(1500, time_unit="epoch-milliseconds") == ("epoch-milliseconds", [Fraction(3, 2)])
    assert starts(12, time_unit="seconds", base=EPOCH_MS) == ("epoch-milliseconds", [EPOCH_S + 12])


def test_times_are_decimals_and_may_stand_in_quotes() -> None:
    assert starts(0.1, "0.7") == ("seconds", [Fraction(1, 10), Fraction(7, 10)])
    assert starts(str(EPOCH_MS)) == ("epoch-milliseconds", [EPOCH_S])


@given(st.lists(st.decimals(0, 99_999_999, places=3), min_size=1))
def test_relative_seconds_are_exact(times: list[Any]) -> None:
    entries = (json.dumps(entry("T", name=f"{n}.mp4")).replace('"T"', str(time)) for n, time in enumerate(times))
    texts = ", ".join(entries)
    index = read_index(f'{{"Files": [{texts}]}}'.encode())
    assert [recording.start_s for recording in index.files] == [Fraction(time) for time in times]


@pytest.mark.parametrize("end", [0, 1000, 1500])
def test_an_end_that_is_not_after_the_start_is_ignored_with_a_warning(end: int) -> None:
    index = index_of(entry(1500, end))
    assert index.files[0].end_s is None
    assert index.warnings == (f"Files[0].EndTime: {end} of dir/a.mp4 is not after StartTime 1500; ignored",)


def test_an_unknown_end_of_zero_is_ignored_beside_times_since_1970() -> None:
    index = index_of(entry(EPOCH_MS, 0), StartTime=EPOCH_MS)
    assert (index.files[0].end_s, len(index.warnings)) == (None, 1)


def test_several_files_of_one_stream_and_unusual_extensions_are_kept() -> None:
    files = index_of(entry(0), entry(5000), entry(0, name="a.ogg"), entry(9, name="notes.txt")).files
    assert [recording.key for recording in files] == ["dir/a.mp4", "dir/a.mp4", "dir/a.ogg", "dir/notes.txt"]


@pytest.mark.parametrize(
    ("root", "name", "key"),
    [
        ("", "a.mp4", "a.mp4"),
        (None, "a.mp4", "a.mp4"),
        ("dir1/dir2", "a.mp4", "dir1/dir2/a.mp4"),
        ("dir/", "./b/a.mp4", "dir/b/a.mp4"),
        ("房间", "王小明 1.mp4", "房间/王小明 1.mp4"),
    ],
)
def test_a_key_is_root_and_name(root: str | None, name: str, key: str) -> None:
    assert index_of(entry(0, name=name), Root=root).files[0].key == key


@pytest.mark.parametrize("name", ["../a.mp4", "x/../../a", "/etc/passwd", "", ".", "a\u0000b", "a\nb", "a" * 1025])
def test_a_name_that_leaves_the_store_or_is_empty_is_refused(name: str) -> None:
    assert "Files[0].Name: found" in refusal_of(entry(0, name=name))


@pytest.mark.parametrize("root", ["..", "a/../..", "/srv", 5])
def test_a_root_that_leaves_the_store_is_refused(root: object) -> None:
    assert "Root: found" in refusal_of(entry(0), Root=root)


@pytest.mark.parametrize("time", [-1, True, "soon", [], 10**14, None, "1e3"])
def test_an_invalid_time_is_refused(time: object) -> None:
    assert "Files[0].StartTime: " in refusal_of(entry(time))


def test_all_problems_are_reported_together() -> None:
    message = refusal_of(entry(0, stream="bob"), 5, entry("x"), StartTime="x", JobId=[], strict=True)
    assert [line.split(":")[0] for line in message.splitlines()] == [
        "the index is wrong",
        "JobId",
        "StartTime",
        "Files[0].StreamId",
        "Files[1]",
        "Files[2].StartTime",
    ]


@pytest.mark.parametrize(
    "malformed", [entry(0, stream="bob"), entry(0, name=""), {"Name": "b.mp4", "StartTime": 0}, 5], ids=str
)
def test_a_malformed_entry_is_left_out_with_a_warning_unless_the_job_is_strict(malformed: object) -> None:
    index = index_of(malformed, entry(0))
    assert [recording.key for recording in index.files] == ["dir/a.mp4"]
    (warning,) = index.warnings
    assert warning.startswith("Files[0]")
    assert warning.endswith("is left out")
    assert "Files[0]" in refusal_of(malformed, entry(0), strict=True)
    assert "Files[0]" in refusal_of(malformed)


def test_the_key_of_an_entry_that_is_left_out_is_known_where_it_has_one() -> None:
    index = index_of(entry(0, stream="bob", name="b.mp4"), {"Name": 5}, entry(0, stream="bob", name="\x00"), entry(0))
    assert index.left_out == ("dir/b.mp4",)
    assert index.keys == ("dir/a.mp4", "dir/b.mp4")


@pytest.mark.parametrize("end", ["", "soon", -5, [], True, 10**30], ids=str)
def test_a_malformed_end_is_none_with_a_warning_that_names_the_file(end: object) -> None:
    index = index_of(entry(1500, end))
    assert index.files[0].end_s is None
    (warning,) = index.warnings
    assert warning.startswith("Files[0].EndTime")
    assert "a.mp4" in warning


@pytest.mark.parametrize("name", [{}, ["Anna"], True, "a" * 257], ids=lambda name: type(name).__name__)
def test_a_malformed_name_of_a_user_is_none_with_a_warning(name: object) -> None:
    index = index_of(entry(1500) | {"UserName": name}, entry(1500, stream="b_1", name="b.mp4") | {"UserName": "Ben"})
    assert [file.user_name for file in index.files] == ["", "Ben"]
    (warning,) = index.warnings
    assert warning.startswith("Files[0].UserName")
    assert "a.mp4" in warning
    assert "text of at most 256 characters" in warning


def test_what_is_null_is_not_there() -> None:
    index = index_of(entry(1500) | {"EndTime": None, "UserName": None})
    assert (index.files[0].end_s, index.files[0].user_name, index.warnings) == (None, "", ())


def test_a_file_that_stands_twice_with_two_ends_is_two_parts() -> None:
    index = index_of(entry(1500, 3500), entry(1500))
    assert [recording.end_s for recording in index.files] == [3.5, None]
    assert index.warnings == ()


def test_a_file_that_stands_twice_counts_once() -> None:
    composed, decomposed = "Zo\u00eb.mp4", "Zoe\u0308.mp4"
    index = index_of(entry(0, name=composed), entry(0, name=decomposed), entry(5, name=composed))
    assert [recording.start_s for recording in index.files] == [0, Fraction(5, 1000)]
    (warning,) = index.warnings
    assert warning.startswith("Files[1]")
    assert "counts once" in warning


def test_a_start_that_is_far_from_all_others_is_named() -> None:
    year_ms = 365 * 86_400_000
    index = index_of(entry(EPOCH_MS), entry(EPOCH_MS - year_ms, name="old.mp4"), entry(EPOCH_MS + 5000, name="c.mp4"))
    (warning,) = index.warnings
    assert warning.startswith("dir/old.mp4 starts more than a day from all other recordings")
    assert not index_of(entry(EPOCH_MS), entry(EPOCH_MS + 80_000_000, name="b.mp4")).warnings


def test_only_the_first_20_problems_are_shown() -> None:
    assert refusal_of(*[5] * 100).splitlines()[-1] == "and 80 more"


@pytest.mark.parametrize("files", [None, {}, [], [entry(0)] * 10_001], ids=["none", "object", "empty", "too many"])
def test_files_must_be_a_list_of_1_to_10000(files: object) -> None:
    assert "Files: " in refusal_of(Files=files)


def test_ten_thousand_files_are_accepted() -> None:
    assert len(index_of(*map(entry, range(10_000))).files) == 10_000


def test_an_index_above_16_mib_is_refused() -> None:
    with pytest.raises(InputError, match="at most 16,777,216 are accepted"):
        read_index(b" " * (16 * 2**20 + 1))


def test_broken_json_names_its_line() -> None:
    with pytest.raises(InputError, match=r"not usable JSON: line 2, column 14"):
        read_index(b'{"Files": [],\n"StartTime": xxx}')


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(text: bytes) -> None:
    with pytest.raises(InputError):
        read_index(text)

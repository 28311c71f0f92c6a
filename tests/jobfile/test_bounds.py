"""Every text, number and list of a job file and an index has a bound, which is stated and kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import pytest

from owtmix.base.errors import InputError, SpecError
from owtmix.base.ids import MAX_STREAM_ID, StreamId
from owtmix.base.wording import first_lines, some
from owtmix.jobfile.bounds import MAX_NAME, MAX_RECORDINGS, MAX_SHOWN, MAX_TEXT, MAX_URL, MAX_Z
from owtmix.jobfile.index_reader import read_index
from owtmix.jobfile.json_schema import job_schema
from owtmix.jobfile.object_key import MAX_KEY_BYTES
from owtmix.jobfile.reader import read_job
from owtmix.jobfile.spec import JobSpec
from tests.jobfile.test_job_file import with_values

MIXER: Final = "Data.MixerConfig"
SUBSCRIBE: Final = "Data.SubscribeConfig"
MARKS: Final = "\u0301\u0316" * 30_000
"""60,000 combining marks: comparing them in their normal form takes hours."""


def read(values: dict[str, Any]) -> JobSpec:
    return read_job(json.dumps(with_values(values)).encode())


def refusal_of(values: dict[str, Any]) -> str:
    with pytest.raises(SpecError) as refusal:
        read(values)
    return str(refusal.value)


def _leaves(node: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The parts of the schema that are neither objects nor references, by the name of their key."""
    for name, child in node.get("properties", {}).items():
        yield from _leaves(child, name)
    for choice in node.get("anyOf", [node] if "$ref" not in node and "properties" not in node else []):
        if "type" in choice:
            yield path, choice
        if "items" in choice:
            yield from _leaves(choice["items"], path)


def test_every_text_number_and_list_has_a_bound_in_the_schema() -> None:
    schema = job_schema()
    leaves = [leaf for node in [schema, *schema["$defs"].values()] for leaf in _leaves(node, "")]
    unbounded = [name for name, leaf in leaves if not _is_bounded(leaf)]
    assert len(leaves) > 60
    assert unbounded == []


def _is_bounded(leaf: dict[str, Any]) -> bool:
    if "enum" in leaf or "const" in leaf:
        return True
    match leaf["type"]:
        case "string":
            return "maxLength" in leaf or leaf.get("pattern", "").endswith(("{0,127}$", "{1,9})?$"))
        case "array":
            return "maxItems" in leaf
        case "integer" | "number":
            return {"minimum", "maximum"} <= leaf.keys()
    return leaf["type"] in {"object", "boolean"}


@pytest.mark.parametrize(
    ("path", "longest"),
    [
        ("Internal.RoomId", MAX_NAME),
        ("Data.JobConfig.KeyStream", MAX_STREAM_ID),
        (f"{MIXER}.MaxResolutionStream", MAX_STREAM_ID),
        ("Data.InputConfig.Index", MAX_KEY_BYTES),
        ("Token", 4096),
    ],
)
def test_a_text_may_be_as_long_as_its_bound(path: str, longest: int) -> None:
    text = "a" * (longest - 2) + "_1"
    assert read({path: text})
    assert f"at most {longest:,} characters" in refusal_of({path: f"a{text}"})


@pytest.mark.parametrize("character", ["\ufb2c", "\u0958", "a\u0308"])
def test_a_stream_can_be_read_again_from_its_normal_form(character: str) -> None:
    """The normal form of some characters is two or three."""
    for count in range(1, MAX_STREAM_ID):
        with suppress(ValueError):
            stream = StreamId.parse(character * count + "_1")
            assert StreamId.parse(str(stream)) == stream
    assert "at most 256 characters" in refusal_of({"Data.JobConfig.KeyStream": character * 254 + "_1"})


def test_what_exceeds_a_bound_is_shown_with_its_size() -> None:
    message = refusal_of({"Internal.RoomId": "room" * 100})
    assert 'found "roomroom' in message
    assert "… of 400 characters; accepted: text; $RoomId in FileNamePrefix, at most 256 characters" in message
    message = refusal_of({f"{SUBSCRIBE}.SubscribeAudio": ["anna_1"] * (MAX_RECORDINGS + 1)})
    assert "found a list of 10,001; accepted: a list of at most 10,000 stream ids" in message


@pytest.mark.parametrize(
    "values",
    [
        {"Data.JobConfig.KeyStream": f"a{MARKS}_1"},
        {f"{SUBSCRIBE}.UnsubscribeVideo": [f"a{MARKS}_1"]},
        {f"{MIXER}.WaterMark": {"Type": 3, "Text": f"a{MARKS}"}},
        {f"{MIXER}.WaterMark": {"Type": 2, "Image": f"http://a{MARKS}/"}},
        {"Data.NotifyConfig": [{"Status": "open", "ServiceType": "job.oss", "NotifyUrl": f"http://a{MARKS}/"}]},
        {"Data.InputConfig.Index": MARKS},
        {"Data.RecordingConfig.StorageConfig.FileNamePrefix": MARKS},
    ],
)
def test_a_text_of_60_000_marks_is_refused_at_once(values: dict[str, Any]) -> None:
    assert "accepted: " in refusal_of(values)


def test_lists_and_numbers_keep_their_bounds() -> None:
    positions = {f"{SUBSCRIBE}.VideoStreamType": 1}
    position = {"RtcStreamId": "a_1", "Region": {"X": 0, "Y": 0, "Width": 2, "Height": 2, "Z": MAX_Z}}
    assert read(positions | {f"{MIXER}.PositionConfig": [position]}).mixer.positions[0].z == MAX_Z
    position["Region"] = {"X": 0, "Y": 0, "Width": 2, "Height": 2, "Z": MAX_Z + 1}
    assert "-2147483648 to 2147483647" in refusal_of(positions | {f"{MIXER}.PositionConfig": [position]})
    assert "at most" in refusal_of(positions | {f"{MIXER}.PositionConfig": [position] * 1000})
    assert f"at most {MAX_TEXT:,}" in refusal_of({f"{MIXER}.WaterMark": {"Type": 3, "Text": "x" * (MAX_TEXT + 1)}})
    assert f"at most {MAX_URL:,}" in refusal_of({f"{MIXER}.WaterMark": {"Type": 2, "Image": "x" * (MAX_URL + 1)}})
    assert "more digits than any that is accepted: 40, and 2 in its exponent" in refusal_of(
        {"Data.JobConfig.IdleTime": int("1" * 41)}
    )


def test_of_many_unknown_keys_the_first_are_named() -> None:
    warnings = read({"Data.MixerConfig": {f"unknown{i}": 1 for i in range(30_000)}}).warnings
    assert len(warnings) == MAX_SHOWN + 1
    assert str(warnings[-1]) == "29,900 more unknown keys, ignored"


@pytest.mark.parametrize("key", ["StreamId", "Name", "EndTime"])
def test_an_entry_of_60_000_marks_is_left_out_of_an_index_at_once(key: str) -> None:
    entry = {"StreamId": "anna_1", "Name": "a.mp4", "StartTime": 1}
    index = read_index(json.dumps({"Files": [entry, entry | {"Name": "b.mp4"} | {key: f"a{MARKS}_1"}]}).encode())
    assert len(index.files) == 1 + (key == "EndTime")
    assert len(index.warnings) == 1
    assert len(index.warnings[0]) < 1000


def test_the_texts_of_an_index_have_bounds() -> None:
    entry = {"StreamId": "anna_1", "Name": "a.mp4", "StartTime": 1}
    for key, accepted in (
        ("RoomId", "text of at most 256 characters"),
        ("Root", "a relative folder (more than 1,024 bytes: 5,000)"),
        ("Files", "a list of 1 to 10,000 files"),
    ):
        with pytest.raises(InputError) as refusal:
            read_index(json.dumps({"Files": [entry], key: "a" * 5000}).encode())
        assert accepted in str(refusal.value)
    with pytest.raises(ValueError, match=r"of at most 256 characters \(here 5,002\)"):
        StreamId.parse("a" * 5000 + "_1")


def test_lists_in_messages_are_shortened() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some([]) == "none"
    assert some(range(25)).endswith(", 19 and 5 more")
    assert first_lines(["a"] * 20) == "\n".join(["a"] * 20)
    assert first_lines(["a"] * 23).endswith("a\nand 3 more")

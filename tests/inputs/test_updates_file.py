"""Where updates are, and what it means when a store does not give them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from owtmix.base.errors import InputError, StoreError
from owtmix.inputs.updates_file import find_updates
from owtmix.jobfile.reader import read_job
from owtmix.jobfile.spec import JobSpec
from tests.support.store import Content, FakeStore

LINE: Final = b'{"At": 1, "Action": "job.mixer.update", "Data": {"MixerConfig": {"ResizeMode": 1}}}\n'


def job(**data: object) -> JobSpec:
    document = {
        "Action": "job.start",
        "Internal": {"JobId": "weekly"},
        "Data": {
            "TranscodingConfig": {"Video": {"Width": 640, "Height": 360}},
            "RecordingConfig": {"StorageConfig": {"Vendor": "local", "Bucket": "."}},
            **data,
        },
    }
    return read_job(json.dumps(document).encode())


class Asked(FakeStore):
    """Remembers what was read; raises errors that are objects."""

    def __init__(self, objects: dict[str, Content]) -> None:
        super().__init__(objects)
        self.asked: list[str] = []

    def read(self, key: str, max_bytes: int) -> bytes | None:
        del max_bytes
        self.asked.append(key)
        found = self.objects.get(key)
        if isinstance(found, InputError):
            raise found
        assert not isinstance(found, int)
        return found


def key_of(pattern: str) -> str:
    return pattern.replace("$JobId", "weekly")


@pytest.mark.parametrize("key", ["weekly.updates.jsonl", "weekly/updates.jsonl"])
def test_they_are_beside_the_index(key: str) -> None:
    found = find_updates(job(), Asked({key: LINE}), None, None, key_of)
    assert found.spec.updates
    assert len(found.spec.updates.updates) == 1
    assert (found.key, found.file, found.doubt) == (key, None, "")
    named = find_updates(job(), Asked({f"rooms/{key}": LINE}), "rooms/other.json", None, key_of)
    assert named.key == f"rooms/{key}"


def test_they_are_beside_a_local_index(tmp_path: Path) -> None:
    (tmp_path / "weekly.updates.jsonl").write_bytes(LINE)
    found = find_updates(job(), Asked({}), None, tmp_path / "other.json", key_of)
    assert (found.key, found.file) == (None, tmp_path / "weekly.updates.jsonl")


@pytest.mark.parametrize("updates", [[], [json.loads(LINE)]])
def test_a_job_with_its_own_asks_for_none(updates: list[object]) -> None:
    store = Asked({"weekly.updates.jsonl": LINE})
    found = find_updates(job(Updates=updates), store, None, None, key_of)
    assert found.spec.updates
    assert len(found.spec.updates.updates) == len(updates)
    assert not store.asked


def test_a_store_that_denies_what_may_not_exist_leaves_a_doubt() -> None:
    denied = StoreError("denied", is_refusal=True, is_denial=True)
    store = Asked({"weekly.updates.jsonl": denied, "weekly/updates.jsonl": denied})
    found = find_updates(job(), store, None, None, key_of)
    assert found.key is None
    assert "does not say whether there are updates in weekly.updates.jsonl or weekly/updates.jsonl" in found.doubt
    store.objects["weekly/updates.jsonl"] = LINE
    found = find_updates(job(), store, None, None, key_of)
    assert found.key == "weekly/updates.jsonl"
    assert "in weekly.updates.jsonl, and those in weekly/updates.jsonl are used" in found.doubt


def test_what_is_there_and_cannot_be_read_fails_the_job() -> None:
    archived = StoreError("refused", of_object="it is in an archive", is_refusal=True)
    store = Asked({"weekly.updates.jsonl": archived})
    with pytest.raises(InputError, match=r"weekly\.updates\.jsonl.*cannot be read: it is in an archive"):
        find_updates(job(), store, None, None, key_of)


def test_a_store_that_cannot_be_used_fails_the_job() -> None:
    with pytest.raises(StoreError):
        find_updates(job(), Asked({"weekly.updates.jsonl": StoreError("away")}), None, None, key_of)

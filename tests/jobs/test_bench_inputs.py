"""Recordings on another node: the same file in a shared folder, or a copy from the store that benches share."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from owtmix.base.errors import ChangedError, DestinationError, InputError
from owtmix.base.file_version import file_version, is_same_elsewhere
from owtmix.inputs.source_file import SourceFile
from owtmix.jobfile.settings import Settings, StorageSettings
from owtmix.jobfile.spec import StorageSpec
from owtmix.jobs import bench_inputs
from owtmix.jobs.bench import shared_folder
from owtmix.jobs.bench_inputs import BenchInputs
from owtmix.jobs.benches import Kit, build
from owtmix.jobs.scratch import remove_abandoned_scratch
from owtmix.storage import LocalCopy
from owtmix.workers.base import Limits
from tests.support.store import FakeStore

KIT = Kit("job", Limits(1, 1.0), StorageSpec("local", ".", None, None, None, None), Path("/nowhere"), {})


def no_beat() -> None:
    """Nobody listens."""


@pytest.fixture
def inputs(tmp_path: Path) -> BenchInputs:
    folder = tmp_path / "node"
    folder.mkdir()
    return BenchInputs(KIT, Settings(), folder)


def local(path: Path) -> SourceFile:
    return SourceFile(path.name, LocalCopy(path, version=file_version(path)))


def test_a_shared_file_is_the_same_by_size_and_time(tmp_path: Path, inputs: BenchInputs) -> None:
    path = tmp_path / "anna.webm"
    path.write_bytes(b"anna")
    elsewhere = " ".join(["77", *file_version(path).split(" ")[1:3], "88"])
    found = inputs.bring(replace(local(path), copy=LocalCopy(path, version=elsewhere)), no_beat)
    assert found.file_version == file_version(path)
    assert inputs.paths == [path]


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(b"other"), lambda path: os.utime(path, (1, 1))])
def test_another_file_under_the_same_path_is_not_used(
    tmp_path: Path, inputs: BenchInputs, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "anna.webm"
    path.write_bytes(b"anna")
    file = local(path)
    change(path)
    with pytest.raises(ChangedError, match="is another file on this node"):
        inputs.bring(file, no_beat)


def test_a_folder_that_is_not_shared(tmp_path: Path, inputs: BenchInputs) -> None:
    path = tmp_path / "anna.webm"
    path.write_bytes(b"anna")
    file = local(path)
    path.unlink()
    with pytest.raises(InputError, match="cannot be read on this node"):
        inputs.bring(file, no_beat)


def test_versions_of_one_file_on_two_machines() -> None:
    assert is_same_elsewhere("1 5 100 7", "2 5 100 8")
    assert not is_same_elsewhere("1 5 100 7", "1 6 100 7")
    assert not is_same_elsewhere("1 5 100 7", "1 5 101 7")


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[FakeStore, SourceFile]:
    """A store with a recording, and the recording as the job's home has it."""
    store = FakeStore({"anna": 5})
    monkeypatch.setattr(bench_inputs, "open_store", lambda *_: store)
    home = tmp_path / "home"
    home.mkdir()
    return store, SourceFile("anna", store.locate("anna", home))


def test_a_recording_is_fetched_once(inputs: BenchInputs, stored: tuple[FakeStore, SourceFile], tmp_path: Path) -> None:
    _, file = stored
    found = inputs.bring(file, no_beat)
    assert found.path.parent == tmp_path / "node"
    assert found.path.stat().st_size == 5
    assert found.version == file.version
    assert found.file_version == file_version(found.path)
    assert inputs.bring(file, no_beat) is found
    other = BenchInputs(KIT, Settings(), tmp_path / "node")
    before = file_version(found.path)
    other.bring(file, no_beat)
    assert file_version(found.path) == before


def test_a_bench_waits_while_another_one_fetches(
    inputs: BenchInputs, stored: tuple[FakeStore, SourceFile], tmp_path: Path
) -> None:
    _, file = stored
    lock = os.open(tmp_path / "node" / f".{file.path.name}.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    beats: list[float] = []
    threading.Timer(0.5, os.close, [lock]).start()
    inputs.bring(file, lambda: beats.append(time.monotonic()))
    assert len(beats) >= 2


def test_another_version_in_the_store_is_not_used(inputs: BenchInputs, stored: tuple[FakeStore, SourceFile]) -> None:
    _, file = stored
    other = replace(file, copy=replace(file.copy, path=file.path.with_name("other")))
    with pytest.raises(ChangedError):
        inputs.bring(other, no_beat)


def test_there_is_no_room(stored: tuple[FakeStore, SourceFile], tmp_path: Path) -> None:
    store, _ = stored
    store = FakeStore({"anna": 5 << 20})
    folder = tmp_path / "node"
    folder.mkdir()
    inputs = BenchInputs(KIT, Settings(storage=StorageSettings(max_inputs_mib=4)), folder)
    inputs._store = store
    with pytest.raises(DestinationError, match="no room"):
        inputs.bring(SourceFile("anna", store.locate("anna", tmp_path / "home")), no_beat)


def test_benches_share_a_folder_until_the_last_one_ends(tmp_path: Path) -> None:
    with shared_folder(tmp_path, "job") as first:
        with shared_folder(tmp_path, "job") as second:
            assert first == second
            (first / "anna").touch()
        remove_abandoned_scratch(tmp_path)
        assert (first / "anna").exists()
    assert not first.exists()


def test_a_folder_that_killed_benches_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "work" / ".scratch" / "bench-job"
    left.mkdir(parents=True, mode=0o700)
    (left / "anna").touch()
    remove_abandoned_scratch(tmp_path)
    assert not left.exists()


def test_a_kit_is_unpacked_by_the_same_build_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = KIT.pack()
    assert Kit.unpack(packed) == KIT
    assert "code" in build()
    monkeypatch.setattr("owtmix.jobs.benches.code_digest", lambda _: "another")
    assert Kit.unpack(packed) is None

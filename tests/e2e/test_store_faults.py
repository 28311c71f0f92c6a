"""Faults between a job and its store: messages, exit status and number of requests."""

from __future__ import annotations

import compileall
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.conftest import kernel_mounts
from tests.e2e.stored import STORAGE, Stored, edit, problem, report
from tests.storage.fault_proxy import (
    Answer,
    Fault,
    Request,
    Us3Profile,
    answered,
    is_beginning,
    is_completion,
    is_content,
    is_part,
    lost,
    refused,
    reset,
    silent,
    truncated,
)
from tests.support.command import TINY, install, record_once

ATTEMPTS = 2

mounted = pytest.mark.skipif(not kernel_mounts(), reason="the kernel refuses a disk of its own")

Pick = Callable[[Request], bool]


def is_index(request: Request) -> bool:
    return is_content(request) and request.path.endswith(".json")


def is_recording(request: Request) -> bool:
    return is_content(request) and "/room/" in request.path


@dataclass(frozen=True)
class Trouble:
    """``fault`` hits all requests that ``only`` selects; the command must exit with ``status`` and print ``words``."""

    fault: Fault
    only: Pick
    status: int
    words: str
    asked: int = 1


BUSY = refused(503, "SlowDown")
DENIED = refused(403, "AccessDenied")

TROUBLES = {
    "the store is busy": Trouble(BUSY, is_index, 3, "overloaded or down, it answers 503", ATTEMPTS),
    "reading is denied": Trouble(DENIED, is_index, 3, "the store denies access"),
    "the clock is wrong": Trouble(refused(403, "RequestTimeTooSkewed"), is_index, 3, "set its clock"),
    "it never answers": Trouble(silent, is_index, 3, "stopped answering", ATTEMPTS),
    "uploads are denied": Trouble(DENIED, is_beginning, 5, "the store denies access"),
    "parts are not taken": Trouble(BUSY, is_part, 5, "overloaded or down", ATTEMPTS),
    "an error in a success": Trouble(refused(200, "InternalError"), is_completion, 5, "overloaded or down", ATTEMPTS),
}


@pytest.fixture
def compiled(stored: Stored) -> Stored:
    """The job, in an installation with compiled modules: Python itself writes no files."""
    assert compileall.compile_dir(stored.command.root / "owtmix", quiet=1)
    return stored


@pytest.mark.parametrize("name", TROUBLES)
def test_a_store_that_fails_for_ever(stored: Stored, name: str) -> None:
    trouble = TROUBLES[name]
    stored.configure(attempts=str(ATTEMPTS))
    stored.proxy.inject(trouble.fault, times=-1, only=trouble.only)
    done = stored.run()
    assert done.returncode == trouble.status, done.stderr
    assert stored.proxy.count(trouble.only) == trouble.asked
    assert trouble.words in problem(done)
    assert json.loads(done.stdout)["error"]["exit_status"] == done.returncode
    assert stored.key not in stored.service.keys()  # noqa: SIM118 - it is no dict
    assert not stored.service.unfinished()
    assert not list((stored.command.root / "work" / stored.job_id).glob("tracks/*"))


def sized(size_bytes: int) -> Fault:
    """An object of this size, of which one byte comes."""
    return answered(Answer(206, {"Content-Range": f"bytes 0-0/{size_bytes}"}, b"x"))


BAD = {
    "denied": (DENIED, "the store denies access to it"),
    "archived": (refused(403, "InvalidObjectState"), "is in an archive of the store: restore it first"),
    "500 for ever": (refused(500, "InternalError"), "the store answers 500 InternalError whenever it is asked for it"),
    "short": (truncated(1000), "its content breaks off before its end"),
    "silent": (silent, "the store does not answer when it is asked for it"),
    "absurd size": (sized(1 << 60), "a size that no object has"),
    "too large": (sized(1 << 40), "storage.max_inputs_mib"),
    "gone": (refused(404, "NoSuchKey"), "does not exist"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_bad_object_is_left_out_with_its_reason(stored: Stored, name: str) -> None:
    """Broken sizes and refusals are met when it is looked for, the others when it is fetched."""
    fault, words = BAD[name]
    key = next(key for key in stored.service.keys() if "ben" in key)  # noqa: SIM118 - it is no dict
    stored.configure(attempts="1")
    is_size = lambda r: not is_content(r)  # noqa: E731 - a line
    only = is_size if "size" in words or "max" in words else is_content
    stored.proxy.inject(fault, times=-1, only=lambda r: r.path.endswith(key) and only(r))
    found = report(stored.run())
    assert [one["file"] for one in found["inputs"] if one.get("left_out")] == [key]
    (warning,) = [one for one in found["warnings"] if "is left out" in one]
    assert warning.startswith(f"{key} is left out: ")
    assert words in warning
    strict = stored.run("--strict", stored.job_file)
    assert strict.returncode == 3
    assert words in problem(strict)


def test_one_object_that_is_denied_at_once_is_left_out(stored: Stored) -> None:
    stored.proxy.inject(DENIED, times=-1, only=lambda request: "anna" in request.path)
    (warning,) = report(stored.run())["warnings"]
    assert "is left out: the store denies access to it" in warning


def test_a_store_that_refuses_every_recording_fails_the_job(stored: Stored) -> None:
    stored.proxy.inject(DENIED, times=-1, only=lambda request: "/room/" in request.path)
    done = stored.run()
    assert done.returncode == 3
    assert "the store denies access to it" in problem(done)


def test_a_store_that_dies_while_recordings_come_is_a_failure(stored: Stored) -> None:
    """A later run may get all of them."""
    stored.configure(attempts=str(ATTEMPTS))
    stored.proxy.inject(BUSY, times=-1, only=is_recording)
    done = stored.run()
    assert done.returncode == 3
    assert "the store answers 503 SlowDown whenever it is asked for it" in problem(done)
    assert stored.proxy.count(is_recording) <= 2 * ATTEMPTS


def test_transient_faults_do_not_change_the_output(stored: Stored) -> None:
    """Every kind of request fails once or twice, on a store that accepts only parts of 8 MiB."""
    stored.proxy.act_like(Us3Profile())
    expected = report(stored.run())
    output = stored.output()
    stored.service.client.delete_object(Bucket=stored.service.bucket, Key=stored.key)
    stored.configure(attempts="4")
    stored.proxy.inject(BUSY, times=2, only=is_index)
    stored.proxy.inject(refused(429, "TooManyRequests"), only=is_beginning)
    stored.proxy.inject(refused(500, "InternalError"), only=is_part)
    for cut in (truncated(1000), reset(1000), silent):
        stored.proxy.inject(cut, only=is_recording)
    stored.proxy.inject(refused(200, "InternalError"), only=is_completion)
    stored.proxy.inject(lost, only=is_completion)
    found = report(stored.run())
    assert stored.output() == output
    assert found["warnings"] == expected["warnings"] == []
    assert not stored.service.unfinished()


WRONG = {
    "Bucket": ("nowhere", 3, "there is no bucket nowhere"),
    "Region": ("us-west-1", 3, "does not accept the region us-west-1"),
    "SecretKey": ("wrong", 3, "check PublicKey and SecretKey"),
    "PublicKey": ("mixer:nobody", 3, "check PublicKey"),
    "Endpoint": ("http://127.0.0.1:9", 3, "http://127.0.0.1:9 cannot be reached: check Endpoint"),
}


@pytest.mark.parametrize("name", WRONG)
def test_one_wrong_key_of_the_job_file(stored: Stored, name: str) -> None:
    value, status, words = WRONG[name]
    stored.configure(attempts="1")
    stored.change(f"{STORAGE}.{name}", value)
    done = stored.run()
    assert done.returncode == status
    assert words in problem(done)
    assert len(stored.proxy.requests) <= 1


def test_a_missing_index_is_named_with_all_that_was_tried(stored: Stored) -> None:
    stored.service.client.delete_object(Bucket=stored.service.bucket, Key=f"{stored.job_id}.json")
    done = stored.run()
    assert done.returncode == 3
    said = problem(done)
    assert said.count(f"{stored.proxy.endpoint}/{stored.service.bucket}/") == 4
    assert "--index" in said


def test_a_recording_beyond_the_budget_is_left_out_and_not_downloaded(stored: Stored) -> None:
    enlarge(stored, 3 << 20)
    stored.configure(max_inputs_mib="2")
    (warning,) = report(stored.run())["warnings"]
    assert "storage.max_inputs_mib" in warning
    assert len({request.path for request in stored.contents()}) == 1


@mounted
def test_a_disk_that_gets_full_while_recordings_come(stored: Stored, tmp_path: Path) -> None:
    enlarge(stored, 3 << 20)
    stored = with_room_at_first(stored, tmp_path, "inputs/disk_budget.py")
    done = stored.run_on_a_disk(1 << 20)
    assert done.returncode == 5
    inputs = stored.command.root / "work" / stored.job_id / "inputs"
    assert f"{inputs} cannot be written: the disk is full, free some space" in problem(done)


@mounted
def test_a_disk_that_gets_full_while_composing(stored: Stored, tmp_path: Path) -> None:
    local = TINY.write(tmp_path / "local", stored.job_id, record_once)
    stored = with_room_at_first(stored, tmp_path, "produce/disk_space.py")
    done = stored.run_on_a_disk(16 << 10, local)
    assert done.returncode == 5
    assert "/chunks/" in problem(done)
    assert problem(done).endswith("cannot be written: the disk is full, free some space")
    assert not list((tmp_path / "local" / "out").iterdir())


def test_files_that_may_not_be_long_enough_for_what_is_fetched(compiled: Stored) -> None:
    enlarge(compiled, 3 << 20)
    done = compiled.run_limited(1 << 20)
    assert done.returncode == 4
    assert "a file may have 1,048,576 bytes, which are too few: raise the limit (ulimit -f)" in problem(done)


def test_files_that_may_not_be_long_enough_for_what_is_composed(compiled: Stored, tmp_path: Path) -> None:
    local = TINY.write(tmp_path / "local", compiled.job_id, record_once)
    done = compiled.run_limited(4096, local)
    assert done.returncode == 4
    assert "a file may have 4,096 bytes, which are too few: raise the limit (ulimit -f)" in problem(done)
    assert not list((tmp_path / "local" / "out").iterdir())


def test_a_disk_without_room_is_found_before_anything_is_fetched(stored: Stored, tmp_path: Path) -> None:
    stored = replace(stored, command=install(tmp_path / "without room"))
    edit(stored.command, "inputs/disk_budget.py", "shutil.disk_usage(folder).free", "0")
    done = stored.run()
    assert done.returncode == 5
    assert "free some space" in problem(done)
    assert not stored.contents()


def with_room_at_first(stored: Stored, folder: Path, module: str) -> Stored:
    """The job in an installation where ``module`` finds space: others take it before it is used."""
    command = install(folder / "soon full")
    edit(command, module, "shutil.disk_usage(folder).free", "(1 << 40)")
    return replace(stored, command=command)


def enlarge(stored: Stored, size_bytes: int) -> None:
    """Enlarge one recording to this size."""
    key = next(key for key in stored.service.keys() if key.startswith("room/"))  # noqa: SIM118 - it is no dict
    stored.service.put(key, bytes(size_bytes))

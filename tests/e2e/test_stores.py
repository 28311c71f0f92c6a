"""Jobs whose recordings and output are in S3 stores, with callbacks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stored import STORAGE, Stored, problem, report, store_at
from tests.notify.receiver import Receiver, receiving
from tests.storage.swift_server import KEY_ID, SECRET
from tests.support.command import TINY, Command, change, record_once
from tests.support.fixtures import new_job_id

INPUT = "Data.InputConfig"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def local(tmp_path: Path, job_id: str) -> Path:
    """The job file of the same room in a folder."""
    return TINY.write(tmp_path / "local", job_id, record_once)


@pytest.fixture(scope="session")
def expected(command: Command, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The output of the same job in a folder."""
    folder = tmp_path_factory.mktemp("expected")
    done = command.run(TINY.write(folder / "room", new_job_id(folder), record_once))
    assert done.returncode == 0, done.stderr
    (path,) = (folder / "room" / "out").iterdir()
    return path.read_bytes()


def test_the_store_gives_the_same_file_as_the_folder_and_the_caller_is_told(
    stored: Stored, receiver: Receiver, expected: bytes
) -> None:
    stored.tell(receiver.url)
    found = report(stored.run())
    assert found["output"] == f"{stored.proxy.endpoint}/{stored.service.bucket}/{stored.key}"
    assert stored.output() == expected
    assert not stored.service.unfinished()
    assert receiver.events == [
        "ucloud_mixer_status_update",
        *["ucloud_mixer_stream_update"] * 4,
        "ucloud_mixer_file_infos",
        "ucloud_upload_status",
        "ucloud_mixer_status_update",
    ]
    assert receiver.requests[-1].json["Data"]["Status"] == 2
    assert [request.json["Data"].get("FileList") for request in receiver.requests[-3:-1]] == [[found["output"]]] * 2
    assert {request.json["Token"] for request in receiver.requests} == {"hush"}


def test_recordings_of_one_store_become_the_output_of_another(
    stored: Stored, local: Path, job_id: str, expected: bytes
) -> None:
    """From UFile with a custom endpoint and keys from the environment, to a folder."""
    source = store_at(stored.service, stored.proxy.endpoint) | {"Vendor": "ucloud"}
    del source["PublicKey"], source["SecretKey"]
    change(local, INPUT, {"StorageConfig": source})
    change(local, f"{STORAGE}.FileNamePrefix", "again/$JobId")
    stored.configure(own_endpoints=f'["{stored.proxy.endpoint}"]')
    report(stored.run(local, UCLOUD_PUBLIC_KEY=KEY_ID, UCLOUD_PRIVATE_KEY=SECRET))
    assert (local.parent / "again" / f"{job_id}.mp4").read_bytes() == expected
    assert stored.key not in stored.service.keys()  # noqa: SIM118 - it is no dict


def test_a_folder_becomes_the_output_of_a_store_with_a_key_from_a_file(
    stored: Stored, local: Path, expected: bytes
) -> None:
    """The keys are in the shared credentials file of S3 tools."""
    target = store_at(stored.service, stored.proxy.endpoint)
    del target["PublicKey"], target["SecretKey"]
    change(local, INPUT, {"StorageConfig": {"Vendor": "local", "Bucket": "."}})
    change(local, STORAGE, target)
    home = stored.job_file.parent
    (home / ".aws").mkdir()
    (home / ".aws" / "credentials").write_text(
        f"[default]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"
    )
    stored.configure(own_endpoints=f'["{stored.proxy.endpoint}"]')
    report(stored.run(local))
    assert stored.output() == expected
    assert not stored.contents()


def test_an_output_store_that_cannot_be_written_is_found_before_anything_is_composed(
    stored: Stored, local: Path
) -> None:
    change(local, INPUT, {"StorageConfig": {"Vendor": "local", "Bucket": "."}})
    change(local, STORAGE, store_at(stored.service, stored.proxy.endpoint) | {"Bucket": "nowhere"})
    done = stored.run(local)
    assert done.returncode == 5
    assert "there is no bucket nowhere" in problem(done)


def test_a_wrong_key_ends_the_job_with_one_sentence_and_tells_the_caller(stored: Stored, receiver: Receiver) -> None:
    stored.tell(receiver.url)
    stored.change(f"{STORAGE}.SecretKey", "wrong")
    done = stored.run()
    assert done.returncode == 3
    assert "SecretKey" in problem(done)
    assert [request.json["Data"].get("Status") for request in receiver.requests] == [1, None, 3]
    assert receiver.events[1] == "ucloud_mixer_error"


def test_a_recording_that_the_bucket_does_not_have_is_left_out(stored: Stored, receiver: Receiver) -> None:
    stored.tell(receiver.url)
    (gone,) = (key for key in stored.service.keys() if key.endswith(".webm"))  # noqa: SIM118 - it is no dict
    stored.service.client.delete_object(Bucket=stored.service.bucket, Key=gone)
    found = report(stored.run())
    assert found["files"]["left_out"] == [{"file": gone, "reason": "does not exist"}]
    (warning,) = (request.json["Data"] for request in receiver.requests if request.event == "ucloud_mixer_warning")
    assert (warning["WarnCode"], gone in warning["WarnMsg"]) == (101, True)


def test_downloads_of_a_failed_run_are_reused_unless_the_recordings_changed(stored: Stored) -> None:
    # Each recording is shorter than this, and the output is not.
    stored.configure(max_duration_s="1.4")
    done = stored.run()
    assert done.returncode == 2
    assert "the output would last 00:00:01.500" in problem(done)
    stored.configure(max_duration_s="86400")
    _, changed = sorted({request.path for request in stored.contents()})
    stored.proxy.requests.clear()
    key = f"room/{changed.partition('/room/')[2]}"
    data = stored.service.get(key)
    stored.service.put(key, data[:-1] + bytes([data[-1] ^ 1]))
    report(stored.run())
    assert [request.path for request in stored.contents()] == [changed]

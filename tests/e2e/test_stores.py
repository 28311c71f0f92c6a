"""A job whose recordings and output are in an S3 store, and whose caller is told: the whole way, as a user runs it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.bench import COMMAND, TIMEOUT_S, Bench, run
from tests.e2e.people import person
from tests.e2e.room import Room
from tests.notify.receiver import Receiver, receiving
from tests.storage.conftest import Service
from tests.storage.swift_server import KEY_ID, REGION, SECRET

PAIR = Room((person(0, 0, 3000, 700), person(1, 613, 2000, 900, container="webm")), size=(320, 180))


@pytest.fixture
def job_file(bench: Bench) -> Path:
    return bench.lay_out(PAIR)


def owt_main(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(COMMAND), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, env=environment)


def move(job_file: Path, service: Service, receiver: Receiver, **changes: str) -> None:
    """Put what the job needs into the bucket, and nothing else; tell ``receiver`` how it goes."""
    folder = job_file.parent
    for path in (*folder.glob("room/*"), *folder.glob("*.json")):
        if path != job_file:
            service.put(str(path.relative_to(folder)), path.read_bytes())
            path.unlink()
    job: dict[str, Any] = json.loads(job_file.read_text())
    job["Internal"]["RequestId"] = "7"
    job["Data"]["RecordingConfig"]["StorageConfig"] = {
        "Vendor": "s3",
        "Endpoint": service.endpoint,
        "Region": REGION,
        "Bucket": service.bucket,
        "PublicKey": KEY_ID,
        "SecretKey": SECRET,
        "FileNamePrefix": "out/$JobId",
        **changes,
    }
    job["Data"]["NotifyConfig"] = [
        {"Status": "open", "ServiceType": kind, "NotifyUrl": receiver.url, "Token": "canary-token"}
        for kind in ("job.mixer", "job.oss")
    ]
    job_file.write_text(json.dumps(job))


def test_the_store_gives_the_same_file_as_the_folder_and_the_caller_is_told(job_file: Path, service: Service) -> None:
    local = run(PAIR, job_file)
    with receiving() as receiver:
        move(job_file, service, receiver)
        done = owt_main(job_file)
        assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    key = f"out/{report['job_id']}.mp4"
    assert report["output"] == f"{service.endpoint}/{service.bucket}/{key}"
    assert service.get(key) == local.path.read_bytes()
    assert not service.unfinished()
    assert receiver.events == [
        "ucloud_mixer_status_update",
        *["ucloud_mixer_stream_update"] * 4,
        "ucloud_mixer_file_infos",
        "ucloud_upload_status",
        "ucloud_mixer_status_update",
    ]
    assert receiver.requests[-1].json["Data"]["Status"] == 2
    assert {request.json["Token"] for request in receiver.requests} == {"canary-token"}
    assert SECRET not in done.stdout + done.stderr
    assert "canary-token" not in done.stdout + done.stderr


def test_a_wrong_key_ends_the_job_with_one_sentence_and_tells_the_caller(job_file: Path, service: Service) -> None:
    with receiving() as receiver:
        move(job_file, service, receiver, SecretKey="wrong")
        done = owt_main(job_file)
    assert done.returncode == 3
    (line,) = done.stderr.strip().splitlines()
    assert "SecretKey" in line
    assert [request.json["Data"].get("Status") for request in receiver.requests] == [1, None, 3]
    assert receiver.events[1] == "ucloud_mixer_error"


def test_a_recording_that_the_bucket_does_not_have_is_left_out(job_file: Path, service: Service) -> None:
    with receiving() as receiver:
        move(job_file, service, receiver)
        (gone,) = (key for key in service.keys() if key.endswith(".webm"))  # noqa: SIM118 - it is no dict
        service.client.delete_object(Bucket=service.bucket, Key=gone)
        done = owt_main(job_file)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"]["left_out"] == [{"file": gone, "reason": "does not exist"}]
    (warning,) = (request.json["Data"] for request in receiver.requests if request.event == "ucloud_mixer_warning")
    assert (warning["WarnCode"], gone in warning["WarnMsg"]) == (101, True)

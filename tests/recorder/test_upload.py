"""Uploads to a folder and to a real S3 service: all of a room, nothing twice, and journals go last."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from owtmix.jobfile.index_reader import read_index
from owtmix.jobfile.settings_file import SHIPPED
from owtmix.recorder.room_folder import RoomFolder
from tests.e2e.stored import store_at
from tests.recorder.finishing import command as finishing
from tests.recorder.finishing import configure, lay_out, run_finish
from tests.recorder.senders import Sender, write_journals
from tests.storage.conftest import Service
from tests.storage.fault_proxy import FaultProxy
from tests.storage.swift_server import KEY_ID, SECRET
from tests.support.command import CLEAN_ENVIRONMENT, Command

ALICE: Final = Sender("alice_1", marks_ms=(1000,), length_ms=2000)
BOB: Final = replace(ALICE, stream="bob 王_1", codec="h264", start_ms=200)
NAMES: Final = {"alice_1-s0.webm", "bob~20~E7~8E~8B_1-s1.mp4"}
DESCRIBED: Final = {"job.json", "job.cfg.json", "job.updates.jsonl"}
KEYS: Final = json.dumps({"PublicKey": KEY_ID, "SecretKey": SECRET})
VIDEO: Final = {"Codec": "h264", "Width": 320, "Height": 180, "Fps": 10, "BitRate": 300, "Profile": "high"}


@pytest.fixture
def room(tmp_path: Path) -> RoomFolder:
    root = tmp_path / "room"
    folder = lay_out(root, [ALICE, BOB])
    (root / "updates.jsonl").write_text("")
    return folder


def environment(room: RoomFolder) -> dict[str, str]:
    """Without keys of this machine."""
    clean = {name: value for name, value in CLEAN_ENVIRONMENT.items() if not name.startswith(("AWS_", "UCLOUD_"))}
    return clean | {"HOME": str(room.root), "OWT_CONF": str(SHIPPED), "PYTHONPATH": os.environ["PYTHONPATH"]}


def stored(room: RoomFolder, service: Service, endpoint: str, **more: Any) -> None:
    configure(room.root, prefix="/rec/$JobId/", store=store_at(service, endpoint), **more)


def puts(proxy: FaultProxy) -> list[str]:
    """The keys of objects of which anything was sent."""
    return [request.path.rpartition("/")[2].partition("?")[0] for request in proxy.requests if request.method == "PUT"]


def test_a_room_is_in_the_store_and_nothing_is_sent_twice(
    room: RoomFolder, service: Service, proxy: FaultProxy, command: Command
) -> None:
    stored(room, service, proxy.endpoint, data={"TranscodingConfig": {"Video": VIDEO}})
    status, found, log = run_finish(room.root, "--upload", given=KEYS, **environment(room))
    assert status == 0, log
    assert {*service.keys()} == {f"rec/job/{name}" for name in NAMES | DESCRIBED - {"job.json"} | {"job.json"}}
    assert [address.rpartition("/")[2] for address in found["uploaded"]][-1] == "job.json"
    index = read_index(service.get("rec/job/job.json"), strict=True)
    assert {*index.keys} == {f"rec/job/{name}" for name in NAMES}
    assert list(room.journals.iterdir()) == []
    secrets = (KEY_ID.encode(), SECRET.encode())
    for path in room.root.rglob("*"):
        assert path.is_dir() or not any(secret in path.read_bytes() for secret in secrets), path
    assert not any(secret.decode() in log + json.dumps(found) for secret in secrets)

    sent = len(puts(proxy))
    again = run_finish(room.root, "--upload", given=KEYS, **environment(room))
    assert again[0] == 0
    assert again[1] == found
    assert not any(name in path for path in puts(proxy)[sent:] for name in ("webm", "mp4"))

    own = room.root / "owt.toml"
    own.write_text(SHIPPED.read_text().replace("own_endpoints = []", f'own_endpoints = ["{proxy.endpoint}"]'))
    keys = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "OWT_CONF": str(own)}
    done = command.run(room.root / "cfg.json", **keys)
    assert done.returncode == 0, done.stderr
    assert "rec/job/job.mp4" in service.keys()  # noqa: SIM118 - it is no dict


def test_journals_stay_until_all_is_uploaded(room: RoomFolder, service: Service) -> None:
    stored(room, service, service.endpoint)
    before = {path.name for path in room.journals.iterdir()}
    wrong = json.dumps({"PublicKey": KEY_ID, "SecretKey": "wrong"})
    status, found, log = run_finish(room.root, "--upload", given=wrong, **environment(room))
    assert status == 5, log
    assert "wrong" not in json.dumps(found) + log
    assert {path.name for path in room.journals.iterdir()} == before
    assert run_finish(room.root, "--upload", given=KEYS, **environment(room))[0] == 0
    assert list(room.journals.iterdir()) == []


def test_a_room_is_put_into_a_folder(room: RoomFolder, tmp_path: Path) -> None:
    configure(room.root, prefix="rec", store={"Vendor": "local", "Bucket": str(tmp_path / "store")})
    status, found, log = run_finish(room.root, "--upload", **environment(room))
    assert status == 0, log
    there = {path.name for path in (tmp_path / "store" / "rec").iterdir()}
    assert there == NAMES | DESCRIBED
    assert read_index((tmp_path / "store" / "rec" / "job.json").read_bytes()).keys[0].startswith("rec/")
    assert list(room.journals.iterdir()) == []
    assert json.loads((room.root / "cfg.json").read_bytes())["Data"]["InputConfig"]["Index"] == "index.json"
    inodes = {path.name: path.stat().st_ino for path in (tmp_path / "store" / "rec").iterdir() if path.name in NAMES}
    assert run_finish(room.root, "--upload", **environment(room))[1] == found
    for name, inode in inodes.items():
        assert (tmp_path / "store" / "rec" / name).stat().st_ino == inode


def test_killed_at_any_moment_nothing_is_lost(room: RoomFolder, tmp_path: Path) -> None:
    configure(room.root, prefix="rec", store={"Vendor": "local", "Bucket": str(tmp_path / "store")})
    there = tmp_path / "store" / "rec"
    for after_s in (*(number / 4 for number in range(2, 14)), None):
        process = subprocess.Popen(
            finishing(room.root, "--upload"),
            env=environment(room),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert process.wait(after_s) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if len(list(room.journals.iterdir())) < 4:
            assert {path.name for path in there.iterdir()} >= NAMES | DESCRIBED
    assert list(room.journals.iterdir()) == []
    for name in NAMES:
        assert (there / name).read_bytes() == (room.recordings / name).read_bytes()
    assert not list(there.glob(".*"))


def test_what_is_lost_keeps_its_journal(room: RoomFolder, tmp_path: Path) -> None:
    (room.journals / "odd.audio.0.journal").write_bytes(b"OWTJ1\n{}\n")
    configure(room.root, prefix="rec", store={"Vendor": "local", "Bucket": str(tmp_path / "store")})
    assert run_finish(room.root, "--upload", **environment(room))[0] == 0
    assert [path.name for path in room.journals.iterdir()] == ["odd.audio.0.journal"]


@pytest.mark.parametrize(
    ("store", "key"),
    [
        ({}, "Bucket"),
        ({"Vendor": "ftp", "Bucket": "b"}, "Vendor"),
        ({"Vendor": "s3", "Bucket": "b"}, "Endpoint"),
        ({"Vendor": "ucloud", "Bucket": "b"}, "Region"),
        ({"Vendor": 5, "Bucket": "b"}, "Vendor"),
    ],
)
def test_a_wrong_store_is_told(tmp_path: Path, store: dict[str, Any], key: str) -> None:
    folder = lay_out(tmp_path, [])
    write_journals(replace(ALICE, codec=None, length_ms=200), folder.journals, "s0")
    configure(tmp_path, store=store)
    status, found, _ = run_finish(tmp_path, "--upload", **environment(folder))
    assert status == 2
    assert f"store.{key}" in found["error"]["message"]


def test_secrets_are_a_line_of_json(tmp_path: Path) -> None:
    folder = lay_out(tmp_path, [])
    write_journals(replace(ALICE, codec=None, length_ms=200), folder.journals, "s0")
    status, found, log = run_finish(tmp_path, "--upload", given="hush\n", **environment(folder))
    assert status == 2
    assert "hush" not in json.dumps(found) + log

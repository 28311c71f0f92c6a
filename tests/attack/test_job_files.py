"""Job files from somebody else, run with the operator's command: what they read, reach, send and replace."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

import pytest

from owtmix.jobfile.settings_file import SHIPPED
from tests.notify.receiver import Receiver, receiving
from tests.support.command import Command, change

INPUT: Final = "Data.InputConfig"
STORAGE: Final = "Data.RecordingConfig.StorageConfig"
CANARY: Final = "root:canary:19000:0:99999"
TOKEN: Final = {
    "AWS_ACCESS_KEY_ID": "canary-id",
    "AWS_SECRET_ACCESS_KEY": "canary-secret",
    "AWS_SESSION_TOKEN": "canary-token",
    "UCLOUD_PUBLIC_KEY": "canary-public",
    "UCLOUD_PRIVATE_KEY": "canary-private",
    "UCLOUD_SECURITY_TOKEN": "canary-ucloud",
}


@pytest.fixture
def receiver(tiny: Path) -> Iterator[Receiver]:
    """The attacker's, who gets every event of the job."""
    with receiving() as receiver:
        services = ("job.mixer", "job.oss")
        entries = [{"Status": "open", "ServiceType": s, "NotifyUrl": receiver.url} for s in services]
        change(tiny, "Data.NotifyConfig", entries)
        yield receiver


def sent(receiver: Receiver) -> str:
    """All that left the machine, also within JSON strings."""
    return "".join(json.dumps(request.json, ensure_ascii=False) + str(request.headers) for request in receiver.requests)


@contextmanager
def listening(status: int = 200, body: bytes = b"{}", **headers: str) -> Iterator[tuple[str, list[str]]]:
    """A service of the attacker: its address, and each request with its headers."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(f"{self.command} {self.path} {dict(self.headers)}")
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_POST = do_GET  # noqa: N815 - the base class calls them so

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()


@pytest.mark.parametrize("bucket", ["{secret}", "../secret", "link", "room/../link/.", "/etc", "/proc/self", "/"])
def test_a_folder_of_the_machine(command: Command, tiny: Path, receiver: Receiver, bucket: str) -> None:
    secret = tiny.parent.parent / "secret"
    secret.mkdir()
    (secret / "shadow").write_text(CANARY)
    (tiny.parent / "link").symlink_to(secret)
    store = {"Vendor": "local", "Bucket": bucket.format(secret=secret)}
    change(tiny, INPUT, {"Index": "shadow", "StorageConfig": store})
    done = command.run(tiny)
    assert done.returncode == 2
    assert "[local] roots" in done.stderr
    assert "canary" not in done.stderr + done.stdout + sent(receiver)


@pytest.mark.parametrize("bucket", ["../elsewhere", "link"])
def test_a_folder_to_write_to(command: Command, tiny: Path, bucket: str) -> None:
    elsewhere = tiny.parent.parent / "elsewhere"
    elsewhere.mkdir()
    (tiny.parent / "link").symlink_to(elsewhere)
    change(tiny, INPUT, {"StorageConfig": {"Vendor": "local", "Bucket": "."}})
    change(tiny, STORAGE, {"Vendor": "local", "Bucket": bucket})
    done = command.run(tiny)
    assert done.returncode == 2
    assert "[local] roots" in done.stderr
    assert not list(elsewhere.iterdir())


def test_the_operator_may_say_where(command: Command, tiny: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    index = tiny.with_name(f"{json.loads(tiny.read_text())['Internal']['JobId']}.json")
    index.rename(elsewhere / "index.json")
    done = command.run("--index", str(elsewhere / "index.json"), "--output", str(elsewhere / "out.mp4"), tiny)
    assert done.returncode == 0, done.stderr
    assert (elsewhere / "out.mp4").stat().st_size


@pytest.mark.parametrize(
    "content",
    [
        CANARY,
        f'"{CANARY}"',
        f'{{"a": "{CANARY}",}}',
        f'{{"Files": "{CANARY}"}}',
        f'{{"Files": [{{"StreamId": "{CANARY}", "Name": "{CANARY}", "StartTime": "{CANARY}"}}]}}',
        f'{{"JobId": "{CANARY}", "{CANARY}": 1, "{CANARY}": 2}}',
    ],
)
def test_a_file_that_is_no_index_stays_here(command: Command, tiny: Path, receiver: Receiver, content: str) -> None:
    """Inside of the job's own folder, which it may read."""
    (tiny.parent / "secrets.env").write_text(content)
    change(tiny, INPUT, {"Index": "secrets.env"})
    done = command.run(tiny)
    assert done.returncode == 3
    assert receiver.events[-1] == "ucloud_mixer_status_update"
    assert "canary" not in sent(receiver)
    assert str(tiny.parent) not in sent(receiver).replace(str(tiny.parent / "out"), "")


def test_what_libraries_say_of_a_recording_stays_here(command: Command, tiny: Path, receiver: Receiver) -> None:
    recording = next((tiny.parent / "room").glob("*.mp4"))
    recording.write_bytes(CANARY.encode())
    change(tiny, "Data.MixerConfig", {"WaterMark": {"Type": 2, "Image": f"room/{recording.name}", "X": 0, "Y": 0}})
    done = command.run(tiny)
    assert done.returncode == 0, done.stderr
    told = [r.json["Data"]["WarnMsg"] for r in receiver.requests if r.event == "ucloud_mixer_warning"]
    assert sorted(told) == ["a watermark image is left out", f"room/{recording.name} is left out"]


@pytest.mark.parametrize("host", ["169.254.7.7", "[fd00:ec2::7]", "10.255.255.1", "0xa9fe0707", "100.64.1.2"])
@pytest.mark.parametrize("output", [False, True])
def test_a_network_of_the_machine(command: Command, tiny: Path, host: str, output: bool) -> None:
    """The range of metadata services, and private ones; addresses where nobody is, should the check ever fail."""
    store = {"Vendor": "s3", "Endpoint": f"http://{host}", "Bucket": "latest", "PublicKey": "a", "SecretKey": "bbbbbb"}
    change(tiny, INPUT, {"StorageConfig": {"Vendor": "local", "Bucket": "."} if output else store})
    if output:
        change(tiny, STORAGE, store)
    done = command.run(tiny)
    assert done.returncode == 2
    assert "[network] allow" in done.stderr


def test_the_operators_keys(command: Command, tiny: Path, receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = canary-file\naws_secret_access_key = canary-file-secret\n"
    )
    with listening() as (endpoint, seen):
        store = {"Endpoint": endpoint, "Bucket": "latest", "Region": "cn-bj"}
        for vendor in ("s3", "ucloud"):
            change(tiny, INPUT, {"StorageConfig": store | {"Vendor": vendor}})
            for keys in (TOKEN, {}):
                done = command.run(tiny, HOME=str(tmp_path), **keys)
                assert done.returncode == 2
                assert "[storage] own_endpoints" in done.stderr
        change(tiny, INPUT, {"StorageConfig": store | {"Vendor": "s3", "PublicKey": "mine", "SecretKey": "mine-too"}})
        command.run(tiny, HOME=str(tmp_path), **TOKEN)
    assert seen
    assert "canary" not in str(seen) + sent(receiver)


def test_a_service_that_redirects_to_another(command: Command, tiny: Path) -> None:
    with listening() as (inside, reached), listening(307, Location=f"{inside}/latest/meta-data") as (endpoint, seen):
        store = {"Vendor": "s3", "Endpoint": endpoint, "Bucket": "latest", "PublicKey": "a", "SecretKey": "bbbbbb"}
        change(tiny, INPUT, {"StorageConfig": store})
        assert command.run(tiny).returncode == 3
    assert seen
    assert not reached


def test_loopback_where_the_operator_takes_it_out(command: Command, tiny: Path, tmp_path: Path) -> None:
    settings = tmp_path / "owt.toml"
    text = SHIPPED.read_text(encoding="utf-8")
    settings.write_text(text.replace('allow = ["127.0.0.0/8", "::1/128"]', "allow = []"), encoding="utf-8")
    with listening() as (endpoint, seen):
        for spelling in (endpoint, endpoint.replace("127.0.0.1", "localhost"), endpoint.replace("127.0.0.1", "127.1")):
            store = {"Vendor": "s3", "Endpoint": spelling, "Bucket": "latest", "PublicKey": "a", "SecretKey": "bbbbbb"}
            change(tiny, INPUT, {"StorageConfig": store})
            done = command.run(tiny, OWT_CONF=str(settings))
            assert done.returncode == 2
            assert "[network] allow" in done.stderr
    assert not seen


@pytest.mark.parametrize("region", ["evil.com/", "x.evil.com#", "127.0.0.1:80/#", "a@127.0.0.1"])
def test_a_region_that_would_be_another_host(command: Command, tiny: Path, region: str) -> None:
    change(tiny, INPUT, {"StorageConfig": {"Vendor": "ucloud", "Region": region, "Bucket": "room"}})
    done = command.run(tiny, **TOKEN)
    assert done.returncode == 2
    assert "Region" in done.stderr


def test_names_cannot_forge_lines(command: Command, tiny: Path) -> None:
    """Job file, index and names of files with marks of direction and escape sequences."""
    evil = "\u202e\u2066\u2028\U000e0041x"
    request: dict[str, Any] = json.loads(tiny.read_text())
    request["Data"][f"key{evil}\n\x1b[2K"] = 1
    mark = {"Type": 3, "Text": f"text{evil}", "X": 0, "Y": 0}
    request["Data"]["MixerConfig"] = {"WaterMark": mark, "MaxResolutionStream": f"who{evil}_1"}
    tiny.write_text(json.dumps(request))
    index = tiny.with_name(f"{request['Internal']['JobId']}.json")
    content = json.loads(index.read_text())
    content["Files"].append({"StreamId": f"eve{evil}_1", "Name": f"eve{evil}.mp4", "StartTime": content["StartTime"]})
    index.write_text(json.dumps(content))
    for arguments in (["--plan"], ["--plan=json"], ["--json"], [f"--set=Data.X{evil}=1"], [f"--device={evil}"]):
        done = command.run(*arguments, tiny)
        for line in (done.stdout + done.stderr).split("\n"):
            assert line.isprintable(), (arguments, line)
    for line in command.log(request["Internal"]["JobId"]).read_text().split("\n"):
        assert line.isprintable(), line


@pytest.mark.parametrize("make", [os.link, os.symlink])
def test_a_second_name_of_a_recording(command: Command, tiny: Path, make: Any) -> None:
    recording = next((tiny.parent / "room").glob("*.mp4"))
    before = recording.read_bytes()
    (tiny.parent / "out").mkdir()
    make(recording, tiny.parent / "out" / "same.mp4")
    change(tiny, f"{STORAGE}.FileNamePrefix", "out/same")
    done = command.run(tiny)
    assert done.returncode == 2
    assert "an input of this job" in done.stderr
    assert recording.read_bytes() == (tiny.parent / "out" / "same.mp4").read_bytes() == before

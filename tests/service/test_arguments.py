"""The command line of owt-server, and what it refuses before it listens."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from owtmix.jobfile.settings import ServiceSettings, Settings
from owtmix.jobfile.settings_file import INSTALLATION
from owtmix.service.arguments import Listener, read_arguments
from owtmix.service.check import notes, with_media_addresses


def run(folder: Path, *options: str, apps: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(INSTALLATION), "HOME": str(folder), "OWT_APPS": apps}
    command = [sys.executable, "-m", "owtmix.service", "--state", str(folder / "state"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:8088", "127.0.0.1", 8088, True),
        ("[::1]:1", "::1", 1, True),
        ("0.0.0.0:80", "0.0.0.0", 80, False),
        ("[::]:65535", "::", 65535, False),
    ],
)
def test_addresses(text: str, host: str, port: int, loopback: bool) -> None:
    listener = read_arguments(["--listen", text]).listen
    assert listener == Listener(host, port)
    assert (str(listener), listener.is_loopback) == (text, loopback)


def test_answers_are_not_held_back() -> None:
    with Listener("127.0.0.1", 0).open() as listening, socket.create_connection(listening.getsockname()):
        connection, _ = listening.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("text", ["", "8088", "localhost:80", "127.0.0.1:65536", "1.2.3:4", "::1:80", "127.0.0.1:-1"])
def test_what_is_no_address(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_arguments(["--listen", text])
    assert ended.value.code == 2
    assert "127.0.0.1:8088" in capsys.readouterr().err


def test_without_apps_it_listens_on_loopback_only(tmp_path: Path) -> None:
    done = run(tmp_path, "--listen", "0.0.0.0:0")
    assert done.returncode == 1
    assert "OWT_APPS" in done.stderr


def test_a_check_finds_nothing_wrong_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "owt.toml").write_text("[service]\nmin_free_mib = 0\n")
    done = run(tmp_path, "--check", "--listen", "127.0.0.1:0", "--conf", str(tmp_path / "owt.toml"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("nothing is wrong")
    assert list((tmp_path / "state").iterdir()) == []


def test_a_check_says_all_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "owt.toml").write_text('[service]\nice_addresses = ["192.0.2.1"]\nice_ports = [9, 8]\n')
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run(tmp_path, "--check", "--listen", address, "--conf", str(tmp_path / "owt.toml"))
    assert done.returncode == 1
    for words in (f"cannot listen at {address}", "192.0.2.1", "ice_ports"):
        assert words in done.stdout


def test_a_check_finds_what_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "service.db").write_bytes(b"garbage, garbage")
    done = run(tmp_path, "--check", "--listen", "127.0.0.1:0")
    assert (done.returncode, "is no database" in done.stdout) == (1, True)


def test_a_check_notes_what_the_service_does_not_do_now(tmp_path: Path) -> None:
    (tmp_path / "owt.toml").write_text("[service]\nmin_free_mib = 1_000_000_000\n")
    done = run(tmp_path, "--check", "--listen", "127.0.0.1:0", "--conf", str(tmp_path / "owt.toml"))
    assert (done.returncode, done.stdout.startswith("nothing is wrong")) == (0, True)
    for words in ("service.ice_addresses", "1,000,000,000 MiB are free"):
        assert words in done.stdout


@pytest.mark.parametrize(
    ("listen", "named", "expected"),
    [
        ("127.0.0.1:1", (), ("127.0.0.1",)),
        ("[::1]:1", (), ("127.0.0.1",)),
        ("127.0.0.1:1", ("192.0.2.7",), ("192.0.2.7",)),
        ("0.0.0.0:1", (), ()),
        ("0.0.0.0:1", ("192.0.2.7",), ("192.0.2.7",)),
    ],
)
def test_media_comes_to_loopback_unless_something_else_is_configured(
    tmp_path: Path, listen: str, named: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    settings = Settings(service=ServiceSettings(ice_addresses=named))
    listener = Listener.parse(listen)
    assert with_media_addresses(settings, listener).service.ice_addresses == expected
    is_noted = any("ice_addresses" in note for note in notes(settings.service, listener, tmp_path))
    assert is_noted == (expected == ("127.0.0.1",))


@pytest.mark.parametrize("apps", ["no json", "[]", '{"a": ""}', '{"a": 5}', '{"": "key"}'])
def test_keys_of_apps_are_checked_and_not_shown(tmp_path: Path, apps: str) -> None:
    done = run(tmp_path, "--check", apps=apps.replace("5", '{"x": "secret-1"}'))
    assert done.returncode == 1
    assert "OWT_APPS" in done.stderr
    assert "secret-1" not in done.stderr
    assert "Traceback" not in done.stderr


def test_keys_in_the_settings_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "owt.toml").write_text('[service]\napps = {"a" = ["secret-1"]}\n')
    done = run(tmp_path, "--check", "--conf", str(tmp_path / "owt.toml"))
    assert (done.returncode, "secret-1" in done.stderr) == (1, False)
    assert "service.apps" in done.stderr


def test_a_state_folder_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    done = run(tmp_path, "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "a folder" in done.stderr


def test_an_address_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run(tmp_path, "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "cannot listen" in done.stderr

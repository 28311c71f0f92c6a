"""The systemd units: accepted by systemd, and with what the tool's own confinement needs."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from owtmix.service.arguments import read_arguments as read_server_arguments
from tests.deploy.recipes import DEPLOY, GRACE_S, batch_arguments

UNITS: Final = DEPLOY / "systemd"
NEEDED: Final = ("unshare", "prctl", "capset", "seccomp", "landlock_create_ruleset", "landlock_restrict_self")
"""System calls by which workers confine themselves."""
WORST_EXPOSURE: Final = 2.5
"""Of ``systemd-analyze security``: from 0 to 10."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")


class Unit(configparser.RawConfigParser):
    """A unit; of a key that is there several times, all values in a line each."""

    def __init__(self, name: str) -> None:
        super().__init__(strict=False, comment_prefixes=("#",), delimiters=("=",), interpolation=None)
        self.optionxform = str  # type: ignore[assignment,method-assign]
        self.read_string((UNITS / name).read_text(encoding="utf-8"))


SERVICE: Final = Unit("owt-batch.service")["Service"]
SERVER: Final = Unit("owt-server.service")["Service"]


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with a command that is there."""
    for path in UNITS.iterdir():
        text = path.read_text(encoding="utf-8")
        there = re.sub("/opt/owtmix/bin/owt-(batch|server)", "/bin/true", text)
        (tmp_path / path.name).write_text(there, encoding="utf-8")
    return tmp_path


@needs_systemd
def test_systemd_accepts_the_units(units: Path) -> None:
    done = analyze("verify", *map(str, sorted(units.iterdir())))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
def test_a_mistake_would_be_found(units: Path) -> None:
    service = units / "owt-batch.service"
    service.write_text(service.read_text(encoding="utf-8").replace("KillMode", "KilMode"), encoding="utf-8")
    assert "KilMode" in analyze("verify", str(service)).stderr


@needs_systemd
def test_the_timer_has_a_time() -> None:
    when = Unit("owt-batch.timer")["Timer"]["OnCalendar"]
    assert analyze("calendar", when).returncode == 0


@needs_systemd
@pytest.mark.parametrize("name", ["owt-batch.service", "owt-server.service"])
def test_what_the_service_may_do_is_little(units: Path, name: str) -> None:
    done = analyze("security", "--offline=true", f"--threshold={WORST_EXPOSURE * 10:.0f}", str(units / name))
    assert done.returncode == 0, done.stdout


@needs_systemd
@pytest.mark.parametrize("service", [SERVICE, SERVER])
def test_workers_may_confine_themselves(service: configparser.SectionProxy) -> None:
    allowed: set[str] = set()
    names = service["SystemCallFilter"].split()
    while names:
        name = names.pop()
        if name.startswith("@"):
            listed = analyze("syscall-filter", name).stdout.splitlines()[1:]
            names += [line.strip() for line in listed if line.strip() and not line.strip().startswith("#")]
        else:
            allowed.add(name)
    assert allowed >= set(NEEDED)
    assert set(service["RestrictNamespaces"].split()) == {"user", "net"}
    assert service["NoNewPrivileges"] == "yes"


def test_draining_is_given_its_time() -> None:
    arguments = batch_arguments(SERVICE["ExecStart"].split())
    assert arguments.grace_s == GRACE_S
    assert arguments.metrics is not None
    assert int(SERVICE["TimeoutStopSec"]) > GRACE_S
    assert (SERVICE["KillMode"], SERVICE["SuccessExitStatus"]) == ("mixed", "130")


def test_memory_shortage_ends_a_job_and_not_the_night() -> None:
    assert SERVICE["OOMPolicy"] == "continue"


def test_batches_of_the_machine_share_their_places() -> None:
    """They are files in the temporary folder."""
    assert "PrivateTmp" not in SERVICE


def test_rooms_are_received_on_when_the_server_crashes() -> None:
    assert (SERVER["KillMode"], SERVER["Restart"]) == ("process", "on-failure")
    assert read_server_arguments(SERVER["ExecStart"].split()[1:]).listen is None
    assert read_server_arguments(SERVER["ExecStartPre"].split()[1:]).check

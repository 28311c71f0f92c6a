"""What a child is denied: secrets, the network, files of the parent, new privileges, a life of its own."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, get_args

import pytest

from owtmix.base.errors import ConfinementError
from owtmix.jobfile.setting_types import Layer
from owtmix.workers.base import Limits
from owtmix.workers.call_filter import Instruction, call_filter
from owtmix.workers.local import WorkerPool
from owtmix.workers.sandbox import LANDLOCK, LAYERS, NETWORK, NO_NEW_PRIVILEGES
from owtmix.workers.syscalls import DENIED, MACHINES
from tests.conftest import NOT_CONFINED, kernel_isolates
from tests.workers.tasks import TESTS, Describe, FreeMemory, MeasureMemory, ReadFile

DEADLINE_S = 20
NOBODY = 65534


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def describe(port: int = 1) -> dict[str, Any]:
    warnings: list[str] = []
    with WorkerPool(1, Limits(1 << 30, 60), warnings.append, TESTS) as executor:
        (outcome,) = executor.run([Describe(str(port))])
    assert outcome.value, outcome
    found: dict[str, Any] = outcome.value
    return found


def test_the_environment_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OWT_SECRET_KEY", "AWS_SECRET_ACCESS_KEY", "HOME", "http_proxy", "LD_PRELOAD_CANARY"):
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    environment = describe()["environment"]
    assert "canary" not in str(environment)
    assert environment["TZ"] == "Asia/Shanghai"


def test_the_memory_of_pictures_goes_back_to_the_system() -> None:
    """What recordings of many sizes leave behind would grow over a long job."""
    with WorkerPool(1, Limits(1 << 30, 60), print, TESTS) as executor:
        idle, after = (outcome.value for outcome in executor.run([MeasureMemory(), FreeMemory()]))
    assert after < idle + 16


def test_nobody_can_be_reached(listener: socket.socket) -> None:
    if not kernel_isolates():
        pytest.skip("the kernel refuses a network of its own")
    assert describe(listener.getsockname()[1])["connection"]
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_no_file_of_the_parent_is_inherited(tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        files = describe()["files"]
    assert {
        name for name in files if name != "/dev/null" and not re.fullmatch(r"pipe:\[\d+\]|/proc/\d+/fd", name)
    } == set()
    assert len(files) < 10


def test_no_privileges_are_gained_and_the_system_ends_children_first() -> None:
    found = describe()
    assert re.search(r"^NoNewPrivs:\t1$", found["status"], re.MULTILINE)
    assert int(found["oom_score_adj"]) >= 500
    override, read_search = 1 << 1, 1 << 2
    for held in re.findall(r"^Cap(?:Prm|Eff|Inh|Bnd):\t([0-9a-f]+)$", found["status"], re.MULTILINE):
        assert int(held, 16) | override | read_search == override | read_search


def test_the_parent_s_secrets_cannot_be_read() -> None:
    if not kernel_isolates():
        pytest.skip("the kernel refuses a network of its own")
    assert describe()["parent"] == "PermissionError"


def test_a_folder_of_recordings_is_no_place_for_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("json", "av", "pydantic", "owtmix"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path.resolve()) not in describe()["path"]


@pytest.fixture
def parent() -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A process with two stuck children, in a group of its own, and the children's ids."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.workers.parent"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout
    children = [int(process.stdout.readline()) for _ in range(2)]
    yield process, children
    process.kill()
    process.communicate()


def is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_children_die_with_their_parent_however_it_dies(parent: tuple[subprocess.Popen[str], list[int]]) -> None:
    process, children = parent
    assert all(map(is_running, children))
    process.kill()
    process.wait()
    deadline = time.monotonic() + DEADLINE_S
    while any(map(is_running, children)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_signals_to_the_whole_group_are_the_parents_alone(
    parent: tuple[subprocess.Popen[str], list[int]], number: signal.Signals
) -> None:
    process, children = parent
    os.killpg(process.pid, number)
    for pid in children:
        pending = re.search(r"^SigIgn:\t([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        assert pending
        assert int(pending[1], 16) >> (number - 1) & 1
    assert all(map(is_running, children))
    assert process.poll() is None


@dataclass(frozen=True)
class Bench:
    """A folder with what attacks need."""

    folder: Path

    def attack(self, *options: str) -> dict[str, Any]:
        """What came of the attacks of ``attacks.py``."""
        command = [sys.executable, "-m", "tests.workers.attacks", str(self.folder), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture
def bench(listener: socket.socket) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as unix:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "bench").mkdir()
        (folder / "secret").write_text("canary")
        (folder / "recording").write_text("media")
        (folder / "output").touch()
        (folder / "port").write_text(str(listener.getsockname()[1]))
        unix.bind(str(folder / "unix"))
        unix.listen()
        yield Bench(folder)


def owned(bench: Bench, user: int) -> Bench:
    for path in (bench.folder, *bench.folder.iterdir()):
        os.chown(path, user, user)
    return bench


USERS = (0, NOBODY) if os.getuid() == 0 else (os.getuid(),)


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("namespaces", [[], ["--no-namespaces"]], ids=["namespaces", "none"])
def test_code_in_a_worker_reaches_nothing(bench: Bench, user: int, namespaces: list[str]) -> None:
    found = owned(bench, user).attack("--user", str(user), *namespaces)
    wanted = [layer for layer in LAYERS if layer != NETWORK or (kernel_isolates() and not namespaces)]
    if found["held"] != wanted:
        assert set(found["held"]) < set(wanted)
        pytest.skip(NOT_CONFINED)
    assert {name for name, outcome in found["attacks"].items() if outcome == "done"} == set()
    assert {name for name, outcome in found["needs"].items() if outcome != "done"} == set()
    assert (bench.folder / "recording").read_text() == "media"


def test_the_guard_of_a_run_is_out_of_reach() -> None:
    """It is a copy of the parent, with its environment."""
    with subprocess.Popen([sys.executable, "-c", GUARDED], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == "here\n"
        family = [parent.pid, *map(int, Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split())]
        owners = [Path(f"/proc/{pid}/environ").stat().st_uid for pid in family]
        parent.kill()
    assert owners == [0, 0], "the files of a process that others of its user may read are that user's"


GUARDED: Final = f"""
import ctypes, os, time
from owtmix.cli import main
def stop(_):
    print("here", flush=True)
    time.sleep(60)
main.read_arguments = stop
os.setuid({NOBODY} if os.getuid() == 0 else os.getuid())
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as after the start of a program
main.main()
"""


@pytest.mark.parametrize("user", USERS)
def test_the_attacks_are_real(bench: Bench, user: int) -> None:
    """Without confinement they succeed; of the others the system itself keeps the user."""
    found = owned(bench, user).attack("--user", str(user), "--free")
    refused = {name for name, outcome in found["attacks"].items() if outcome != "done"}
    assert refused <= {
        *("read the passwords", "rename a recording", "link to a recording", "change a mode", "change an owner"),
        *("change a time", "read memory by a call", "replace the program", "change the root", "mount"),
        *("load a BPF program", "push input into a terminal", "make a mount namespace", "make a user namespace"),
        *("use the keys", "set up io_uring", "run a program", "read the parent's memory"),
        "change the generation of a recording",  # not every file system has such a thing
    }


def test_the_layers_that_hold_are_told() -> None:
    with WorkerPool(1, Limits(1 << 30, 60), print) as executor:
        held = executor.confinement
    assert set(held) <= set(LAYERS)
    assert NO_NEW_PRIVILEGES in held


def test_the_settings_name_the_same_layers() -> None:
    assert get_args(Layer) == LAYERS


def test_a_machine_without_a_required_layer_is_refused() -> None:
    """Before a task begins."""
    limits = Limits(1 << 30, 60, required=frozenset({"moat", NO_NEW_PRIVILEGES}))
    with WorkerPool(1, limits, print) as executor, pytest.raises(ConfinementError, match="by moat") as raised:
        list(executor.run([Describe()]))
    assert raised.value.exit_status == 1


def test_a_worker_that_is_confined_less_than_others_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a machine has no more namespaces while others work."""
    warnings: list[str] = []
    with WorkerPool(1, Limits(1 << 30, 60), warnings.append) as executor:
        monkeypatch.setattr(executor, "_confinement", ("moat", *executor.confinement))
        executor.allow(read=[tmp_path])
        list(executor.run([Describe()]))
        assert "moat" not in executor.confinement
        assert NO_NEW_PRIVILEGES in executor.confinement
    assert warnings == ["a worker is not confined by moat, which this machine refused it"]


def test_files_that_cannot_be_allowed_are_no_reason_to_allow_all(tmp_path: Path) -> None:
    """A kernel that is short of what Landlock takes ends the worker, which is tried again."""
    code = """if True:
        import resource, sys
        from pathlib import Path
        from owtmix.workers.file_access import FileAccess
        from owtmix.workers.sandbox import confine
        import os
        files = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
        print(confine(os.getppid(), FileAccess(read=(Path(sys.argv[1]),)), 1))
    """
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "Too many open files" in ended.stderr


@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EBADMSG, errno.EIO])
def test_a_recording_on_a_disk_that_is_gone_keeps_no_worker_from_beginning(number: int) -> None:
    """It has no right to that one, whose reader tells why; others are healthy."""
    code = f"""if True:
        import os
        from pathlib import Path
        from owtmix.workers import sandbox
        from owtmix.workers.file_access import FileAccess
        def gone(path, flags):
            raise OSError({number}, os.strerror({number}))
        sandbox.open_file = gone
        print(*sandbox.confine(os.getppid(), FileAccess(recordings=(Path("/mnt/a.mp4"),)), 1))
    """
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert NO_NEW_PRIVILEGES in ended.stdout


def test_a_worker_reads_what_is_allowed_later(tmp_path: Path) -> None:
    """It is replaced by one that may."""
    for name in ("first", "second"):
        (tmp_path / name).write_text(name)
    with WorkerPool(1, Limits(1 << 30, 60), print, TESTS) as executor:
        if LANDLOCK not in executor.confinement:
            pytest.skip(NOT_CONFINED)
        executor.allow(read=[tmp_path / "first"])
        tasks = [ReadFile(str(tmp_path / name)) for name in ("first", "second")]
        read, refused = executor.run(tasks)
        assert read.value == "first"
        assert "PermissionError" in str(refused.error)
        executor.allow(read=[tmp_path / "second"])
        assert [outcome.value for outcome in executor.run(tasks)] == ["first", "second"]


@pytest.mark.parametrize("swapped", ["", "file", "folder above", "real folder"])
def test_a_recording_that_is_swapped_gives_no_right_to_anything_else(tmp_path: Path, swapped: str) -> None:
    """Who may write where it is may put a link, or a folder, in its place."""
    secret = tmp_path / "secrets" / "a.mp4" / "key"
    recording = tmp_path / "room" / "a.mp4"
    for path in (secret, recording):
        path.parent.mkdir(parents=True)
        path.write_text(path.name)
    if swapped == "file":
        recording.unlink()
        recording.symlink_to(secret.parent)
    elif swapped == "folder above":
        recording.parent.rename(tmp_path / "elsewhere")
        recording.parent.symlink_to(tmp_path / "secrets")
    elif swapped == "real folder":
        recording.unlink()
        secret.parent.rename(recording)
        secret = recording / "key"
    with WorkerPool(1, Limits(1 << 30, 60), print, TESTS) as executor:
        if LANDLOCK not in executor.confinement:
            pytest.skip(NOT_CONFINED)
        executor.allow(recordings=[recording])
        read, refused = executor.run([ReadFile(str(recording)), ReadFile(str(secret))])
    assert (read.value == "a.mp4") == (not swapped)
    assert "PermissionError" in str(refused.error)


def decision(program: Sequence[Instruction], machine: str, call: str, *arguments: int) -> int:
    """What the kernel would do with a system call: the program, carried out."""
    known = MACHINES[machine]
    data = struct.pack("=iIQ6Q", known.numbers[call], known.audit, 0, *(*arguments, *[0] * (6 - len(arguments))))
    held, at = 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        if code == 0x06:
            return operand
        if code == 0x54:
            held &= operand
        elif code == 0x20:
            (held,) = struct.unpack_from("=I", data, operand)
        else:
            at += if_true if {0x15: held == operand, 0x45: held & operand, 0x35: held >= operand}[code] else if_false


CHANGES_OF_FILES = (0x40086602, 0x40086604, 0x40087602, 0x401C5820, 0x40806685, 0x4020940D, 0xF501)
"""Of flags, generations, attributes, seals and copies: some file systems take them from who may only read."""
ALLOWED, REFUSED, UNKNOWN = 0x7FFF0000, 0x00050001, 0x00050026


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_decides_on_every_machine(machine: str) -> None:
    decide = partial(decision, call_filter(machine, 77), machine)
    assert {decide(name) for name in DENIED if name in MACHINES[machine].numbers} == {REFUSED}
    assert decide("clone3") == decide("openat2") == UNKNOWN
    opened = decide("openat", 0, 0, os.O_RDWR | os.O_CREAT | os.O_TRUNC), decide("openat", 0, 0, os.O_RDONLY)
    assert opened == (ALLOWED, ALLOWED)
    assert decide("openat", 0, 0, os.O_RDONLY | os.O_TRUNC) == REFUSED  # it empties what may only be read
    assert decide("clone", 0x3D0F00) == ALLOWED  # a thread
    assert decide("clone", 0x11) == REFUSED
    assert decide("kill", 77, 9) == decide("tgkill", 77, 78, 6) == ALLOWED
    assert decide("kill", 76, 9) == decide("tgkill", 76, 76, 6) == REFUSED
    assert decide("kill", 0xFFFFFFFF, 9) == REFUSED  # everybody
    assert decide("prlimit64", 0) == decide("prlimit64", 77) == ALLOWED
    assert decide("prlimit64", 76) == REFUSED
    assert decide("ioctl", 1, 0x5412) == decide("ioctl", 1, 0x541C) == REFUSED
    assert {decide("ioctl", 1, asked) for asked in (0x5401, 0x541B, 0x5450, 0x5451)} == {ALLOWED}
    assert {decide("ioctl", 1, asked) for asked in (*CHANGES_OF_FILES, 0x8901, 0x4004590A, 0)} == {REFUSED}
    assert {decide("fcntl", 3, command) for command in (8, 10, 15)} == {REFUSED}  # signals by descriptors
    assert {decide("fcntl", 3, command) for command in (1024, 1026)} == {REFUSED}  # who opens a leased file waits
    assert decide("fcntl", 3, 4) == ALLOWED
    assert {decide("prctl", option) for option in (1, 4)} == {REFUSED}  # its end with the parent, its memory
    assert decide("prctl", 15) == ALLOWED


@pytest.mark.parametrize("machine", MACHINES)
def test_a_gpu_gets_unix_sockets_that_reach_nobody(machine: str) -> None:
    program = call_filter(machine, 77, gpu=True)
    stream, datagram, packets = 0x80001, 2, 0x80005
    assert decision(program, machine, "socket", 1, stream) == decision(program, machine, "bind", 3) == ALLOWED
    assert decision(program, machine, "socket", 1, packets) == ALLOWED
    assert decision(program, machine, "socket", 1, datagram) == REFUSED
    assert decision(program, machine, "socket", 2, stream) == decision(program, machine, "connect", 3) == REFUSED
    asked = partial(decision, program, machine, "ioctl", 3)
    assert {asked(number) for number in (0xC020462A, 0x30000001, 0x1B, 0x5401)} == {ALLOWED}  # of NVIDIA's driver
    assert {asked(number) for number in (*CHANGES_OF_FILES, 0x8901, 0x5412, 0x541C)} == {REFUSED}


def test_calls_of_another_kind_of_machine_end_the_process() -> None:
    """As those of 32 bits, whose numbers are others."""
    assert decision(call_filter("x86_64", 77), "aarch64", "execve") == 0x80000000

"""A job whose recordings and output are in an S3 store, behind a proxy that can inject faults."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any, Final

from owtmix.jobfile.settings_file import SHIPPED
from tests.e2e.bench import TIMEOUT_S
from tests.storage.conftest import Service
from tests.storage.fault_proxy import FaultProxy, Request, is_content
from tests.storage.swift_server import KEY_ID, REGION, SECRET
from tests.support.command import CLEAN_ENVIRONMENT, TINY, Command, change, install, record_once
from tests.support.people import Take
from tests.support.room import Room

STORAGE: Final = "Data.RecordingConfig.StorageConfig"

Done = subprocess.CompletedProcess[str]

_FOREIGN: Final = ("AWS_", "UCLOUD_", "HOME")


@dataclass(frozen=True)
class Stored:
    """The job. Its folder contains only the job file and ``settings``; ``service`` is reached through ``proxy``."""

    command: Command
    service: Service
    proxy: FaultProxy
    job_file: Path
    job_id: str

    @property
    def key(self) -> str:
        return f"out/{self.job_id}.mp4"

    @property
    def settings(self) -> Path:
        return self.job_file.parent / "owt.toml"

    @contextmanager
    def code_appended(self, module: str, code: str) -> Iterator[None]:
        """``code`` is at the end of a module of the installation, such as ``jobs/job.py``, while the block runs."""
        path = self.command.root / "owtmix" / module
        text = path.read_text(encoding="utf-8")
        _write_module(path, f"{text}\n\n{code}")
        try:
            yield
        finally:
            _write_module(path, text)

    def output(self) -> bytes:
        return self.service.get(self.key)

    def change(self, path: str, value: object) -> None:
        change(self.job_file, path, value)

    def configure(self, **values: str) -> None:
        """Change settings, named without their table."""
        text = self.settings.read_text(encoding="utf-8")
        for name, value in values.items():
            text, found = re.subn(rf"(?m)^{name} = .*", f"{name} = {value}", text)
            assert found == 1, name
        self.settings.write_text(text, encoding="utf-8")

    def tell(self, *urls: str, token: str = "hush") -> None:
        """Set the receivers of all callbacks."""
        services = ("job.mixer", "job.oss")
        self.change(
            "Data.NotifyConfig",
            [{"Status": "open", "ServiceType": s, "NotifyUrl": url, "Token": token} for url in urls for s in services],
        )

    def run(self, *arguments: str | Path, **environment: str) -> Done:
        return self._run([self.command.path, *map(str, arguments or (self.job_file,))], environment)

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start the command without waiting for it."""
        return subprocess.Popen(
            [self.command.path, *options, str(self.job_file)],
            env=self._variables({}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
        )

    def run_limited(self, largest_file_bytes: int, *arguments: str | Path) -> Done:
        """Run the command where no file can grow beyond a size."""
        limit = f'ulimit -S -f {largest_file_bytes // 512} && exec "$@"'
        return self._run(["sh", "-c", limit, "sh", self.command.path, *map(str, arguments or (self.job_file,))], {})

    def run_on_a_disk(self, size_bytes: int, *arguments: str | Path) -> Done:
        """Run the command with its work folder on a disk of this size, which it has for itself."""
        work = self.command.root / "work"
        work.mkdir(exist_ok=True)
        mounted = f'mount -t tmpfs -o size={size_bytes} tmpfs "$0" && exec "$@"'
        words = [self.command.path, *map(str, arguments or (self.job_file,))]
        return self._run(["unshare", "--mount", "sh", "-c", mounted, str(work), *words], {})

    def contents(self) -> list[Request]:
        """The requests for contents of recordings so far."""
        return [request for request in self.proxy.requests if is_content(request) and "/room/" in request.path]

    def _run(self, words: list[str], environment: dict[str, str]) -> Done:
        variables = self._variables(environment)
        return subprocess.run(
            words, env=variables, capture_output=True, text=True, check=False, cwd="/", timeout=TIMEOUT_S
        )

    def _variables(self, more: dict[str, str]) -> dict[str, str]:
        """The environment: without the machine's credentials, and with the job's folder as home."""
        clean = {name: value for name, value in CLEAN_ENVIRONMENT.items() if not name.startswith(_FOREIGN)}
        return clean | {"HOME": str(self.job_file.parent), "OWT_CONF": str(self.settings)} | more


def install_quick(root: Path) -> Command:
    """An installation with short pauses between attempts at a store."""
    command = install(root)
    edit(command, "storage/s3/options.py", "first_pause_s: float = 1.0", "first_pause_s: float = 0.01")
    return command


def edit(command: Command, module: str, before: str, after: str) -> None:
    """Replace a text of a module of an installation, such as ``jobs/job.py``. It must be there once."""
    path = command.root / "owtmix" / module
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, before
    _write_module(path, text.replace(before, after))


def _write_module(path: Path, text: str) -> None:
    """Also remove its compiled form: Python may not see that it is old, when size and second are the same."""
    path.write_text(text, encoding="utf-8")
    Path(cache_from_source(str(path))).unlink(missing_ok=True)


def lay_out(
    command: Command,
    service: Service,
    proxy: FaultProxy,
    folder: Path,
    job_id: str,
    room: Room = TINY,
    record: Callable[[Take, Path], None] = record_once,
) -> Stored:
    """Put the recordings and the index of a room into the bucket, and the job file into ``folder``."""
    job_file = room.write(folder, job_id, record)
    for path in (*folder.glob("room/*"), folder / f"{job_id}.json"):
        service.put(str(path.relative_to(folder)), path.read_bytes())
        path.unlink()
    (folder / "room").rmdir()
    stored = Stored(command, service, proxy, job_file, job_id)
    stored.settings.write_bytes(SHIPPED.read_bytes())
    stored.configure(attempts="3", silence_s="1", wait_s="5")
    stored.change(STORAGE, store_at(service, proxy.endpoint))
    return stored


def store_at(service: Service, endpoint: str) -> dict[str, str]:
    """The ``StorageConfig`` of the store."""
    return {
        "Vendor": "s3",
        "Endpoint": endpoint,
        "Region": REGION,
        "Bucket": service.bucket,
        "PublicKey": KEY_ID,
        "SecretKey": SECRET,
        "FileNamePrefix": "out/$JobId",
    }


def problem(done: Done) -> str:
    """The only error message."""
    (line,) = [line for line in done.stderr.splitlines() if " error: " in line]
    return re.sub(r"^\S+ \S+ (\S+ )?error: ", "", line)


def report(done: Done) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    content: dict[str, Any] = json.loads(done.stdout)
    return content

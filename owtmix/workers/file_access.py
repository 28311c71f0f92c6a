"""The files that a confined child may use."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_PACKAGE: Final = Path(__file__).parents[1]

_SYSTEM: Final = (
    *("/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo", "/lib", "/lib64"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime"),
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm"),
    *("/sys/devices/system/cpu", "/sys/devices/system/node"),
    *("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"),
)
"""What Python and its libraries read."""
_GPU_FILES: Final = (
    *("/usr/local/cuda", "/usr/local/nvidia", "/run/nvidia", "/etc/nvidia", "/sys"),
    *("/proc/driver", "/proc/devices", "/proc/modules", "/proc/filesystems", "/proc/version", "/proc/sys/kernel"),
)
"""What the driver of a GPU reads besides; nothing of other processes."""
_GPU_DEVICES: Final = ("nvidia*", "nvidia-caps/*", "dxg")
_KINDS: Final = ("read", "write", "recordings")


@dataclass(frozen=True, slots=True)
class FileAccess:
    """The files and folders that a child may ``read`` or ``write``, with all in them; ``gpu``: the devices of GPUs.

    What a child may write it may also read. A file to be written exists already: only in a folder may files be made.
    ``recordings`` are files that it may read, at paths whose links are resolved: others may write there, and a link or
    a folder that stands there by now gives no right to anything.
    """

    read: frozenset[Path] = frozenset()
    write: frozenset[Path] = frozenset()
    recordings: frozenset[Path] = frozenset()
    gpu: bool = False

    def adding(
        self,
        read: Iterable[Path] = (),
        write: Iterable[Path] = (),
        recordings: Iterable[Path] = (),
        gpu: bool | None = None,
    ) -> FileAccess:
        """The same, and more files; ``gpu`` replaces what it was."""
        return FileAccess(
            self.read.union(map(Path.absolute, read)),
            self.write.union(map(Path.absolute, write)),
            self.recordings.union(recordings),
            self.gpu if gpu is None else gpu,
        )

    def suffices(self, wanted: FileAccess) -> bool:
        """Whether this allows all that is ``wanted``, and no device that is not."""
        has_files = all(getattr(self, kind) >= getattr(wanted, kind) for kind in _KINDS)
        return has_files and self.gpu == wanted.gpu

    def bench(self) -> Path | None:
        """A folder for temporary files."""
        return next((path for path in sorted(self.write) if path.is_dir()), None)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {kind: sorted(map(str, getattr(self, kind))) for kind in _KINDS} | {"gpu": self.gpu}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> FileAccess:
        """From what ``to_json`` gave."""
        read, write, recordings = (frozenset(map(Path, values[kind])) for kind in _KINDS)
        return cls(read, write, recordings, values["gpu"])

    def python(self) -> Iterator[Path]:
        """What Python reads: its library, packages, and system files without secrets.

        The folder that holds this package is not among them: in a checkout it has settings and jobs.
        """
        paths = {*_SYSTEM, sys.prefix, sys.base_prefix, sys.exec_prefix, str(_PACKAGE), *_listed("LD_LIBRARY_PATH")}
        # An editable installation adds a name that is no path: it would be one of the working folder, if there is any.
        paths |= {entry for entry in sys.path if Path(entry).is_absolute() and Path(entry).resolve() != _PACKAGE.parent}
        if self.gpu:
            paths |= {*_GPU_FILES, *_listed("CUDA_PATH")}
        yield from map(Path, paths)

    def devices(self) -> Iterator[Path]:
        """The devices that are read and written."""
        yield Path("/dev/null")
        for pattern in _GPU_DEVICES if self.gpu else ():
            yield from Path("/dev").glob(pattern)


def _listed(variable: str) -> list[str]:
    return [entry for entry in os.environ.get(variable, "").split(os.pathsep) if entry]

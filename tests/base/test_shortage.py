"""A machine that is short of something is told from files that are broken."""

from __future__ import annotations

import errno
import resource
import subprocess
import sys

import pytest

from owtmix.base.errors import DestinationError, InputError, RenderError, ShortageError
from owtmix.base.shortage import machine_error, raise_if_short


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_open_files_may_be_short(number: int) -> None:
    found = machine_error(OSError(number, "x"))
    assert isinstance(found, ShortageError)
    assert "file" in str(found)


def test_files_may_be_too_long() -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (12_345_678, before[1]))
    try:
        found = machine_error(OSError(errno.EFBIG, "x"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert isinstance(found, ShortageError)
    assert "a file may have 12,345,678 bytes, which are too few: raise the limit (ulimit -f)" in str(found)


def test_a_full_disk_is_the_destination_s() -> None:
    assert isinstance(machine_error(OSError(errno.ENOSPC, "x")), DestinationError)


def test_threads_may_be_short() -> None:
    assert "ulimit -u" in str(machine_error(RuntimeError("can't start new thread")))


@pytest.mark.parametrize(
    "error", [OSError(errno.EACCES, "x"), ValueError("x"), InputError("x"), RenderError("x"), RuntimeError("x")]
)
def test_other_errors_have_other_reasons(error: Exception) -> None:
    assert machine_error(error) is None
    raise_if_short(error)


def test_a_file_that_asks_for_an_absurd_amount_of_memory_is_to_blame_itself() -> None:
    """There is memory, so the request was absurd."""
    assert machine_error(MemoryError()) is None
    assert machine_error(OSError(errno.ENOMEM, "x")) is None


def test_what_led_to_an_error_counts() -> None:
    error = ValueError("x")
    error.__context__ = KeyError("y")
    error.__context__.__context__ = OSError(errno.EMFILE, "z")
    assert isinstance(machine_error(error), ShortageError)


LIMITED = """
import resource
from owtmix.base.shortage import raise_if_short
resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28))
try:
    raise_if_short(ValueError("Invalid data found when processing input"))
except Exception as error:
    print(type(error).__name__, error)
"""


def test_under_a_limit_of_memory_any_error_may_hide_its_lack() -> None:
    """Decoders report it as damage of the file."""
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ShortageError memory is short")


def test_a_module_that_is_missing_is_no_recordings_fault() -> None:
    error = RuntimeError("decoding failed")
    error.__cause__ = ModuleNotFoundError("No module named 'av'")
    found = machine_error(error)
    assert isinstance(found, ShortageError)
    assert "the installation is damaged" in str(found)

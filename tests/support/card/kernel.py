"""``compose.cu``, compiled for the host."""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from owtmix.compositor.gpu.kernel_args import SOURCE
from owtmix.jobfile.settings_file import INSTALLATION
from tests.support.compiler import COMPILER

BUILT: Final = INSTALLATION / "build" / "tests"


@cache
def compiled(frames: int = 1) -> ctypes.CDLL:
    """The kernel as a shared library that draws ``frames`` per launch; skips the test without a C++ compiler.

    It is built once: confined workers start no compiler.
    """
    if COMPILER is None:
        pytest.skip("no C++ compiler")
    source = SOURCE.read_bytes()
    library = BUILT / f"compose-{hashlib.sha256(source).hexdigest()[:16]}-{frames}.so"
    if not library.exists():
        BUILT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=BUILT) as folder:
            made = Path(folder) / library.name
            command = [COMPILER, "-O2", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-DON_HOST"]
            built = subprocess.run(
                [*command, f"-DFRAMES={frames}", "-x", "c++", str(SOURCE), "-o", str(made)],
                capture_output=True,
                text=True,
                check=False,
            )
            assert built.returncode == 0, built.stderr
            made.replace(library)
    return ctypes.CDLL(str(library))


def compose(batch: NDArray[Any]) -> None:
    """Draw the frames of a batch; addresses are those of arrays."""
    frames = batch["frames"].shape[0]
    compiled(frames).compose_on_host(ctypes.c_void_p(batch.ctypes.data), frames)


def address(array: NDArray[Any]) -> int:
    """The address of a contiguous array."""
    assert array.flags.c_contiguous
    return array.ctypes.data


def pairs(keep: NDArray[Any], add: NDArray[Any]) -> NDArray[np.uint16]:
    """An overlay's plane as the kernel reads it."""
    return np.ascontiguousarray(np.stack((keep, add), axis=-1).astype(np.uint16))

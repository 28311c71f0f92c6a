"""The kernel compiles for the compute capabilities in use, with nvcc and NVRTC."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from owtmix.compositor.gpu.kernel_args import KERNEL, SOURCE
from tests.conftest import nvrtc

COMPUTE_CAPABILITIES: Final = (75, 80, 86, 89, 90)


def test_nvcc_compiles_it(tmp_path: Path) -> None:
    compiler = shutil.which("nvcc")
    if compiler is None:
        pytest.skip("no nvcc")
    codes = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in COMPUTE_CAPABILITIES]
    made = tmp_path / "compose.fatbin"
    command = [compiler, "-fatbin", "-Werror", "all-warnings", *codes, str(SOURCE), "-o", str(made)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert made.read_bytes().count(b"\x7fELF") == len(COMPUTE_CAPABILITIES)


@pytest.mark.parametrize("number", COMPUTE_CAPABILITIES)
def test_nvrtc_compiles_it(number: int) -> None:
    """As CuPy does when it opens the GPU."""
    path = nvrtc()
    if path is None:
        pytest.skip("no NVRTC")
    library = ctypes.CDLL(str(path))
    program = ctypes.c_void_p()
    created = library.nvrtcCreateProgram(ctypes.byref(program), SOURCE.read_bytes(), b"compose.cu", 0, None, None)
    assert created == 0
    options = (ctypes.c_char_p * 1)(f"--gpu-architecture=sm_{number}".encode())
    status = library.nvrtcCompileProgram(program, 1, options)
    log = ctypes.create_string_buffer(1 << 16)
    library.nvrtcGetProgramLog(program, log)
    assert status == 0, log.value.decode()
    size = ctypes.c_size_t()
    assert library.nvrtcGetCUBINSize(program, ctypes.byref(size)) == 0
    cubin = ctypes.create_string_buffer(size.value)
    assert library.nvrtcGetCUBIN(program, cubin) == 0
    assert KERNEL.encode() in cubin.raw

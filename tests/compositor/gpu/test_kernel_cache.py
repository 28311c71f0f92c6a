"""The compiled kernel on the disk: found only as it was kept."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from owtmix.compositor.gpu.device import DeviceError
from owtmix.compositor.gpu.kernel_args import SOURCE
from owtmix.compositor.gpu.kernel_cache import KEPT, MOST_BYTES, Kernel, find_kernel, keep_kernel
from owtmix.compositor.gpu.kernel_loading import load_kernel

OPTIONS: Final = ("-DFRAMES=1",)


class FakeCompiler:
    """Its code names what it was compiled of; it refuses other code, as a driver does."""

    def __init__(self, *versions: str) -> None:
        self._versions = versions
        self.compiled = 0

    def versions(self) -> tuple[str, ...]:
        return self._versions

    def compile(self, source: str, options: tuple[str, ...]) -> bytes:
        assert source == SOURCE.read_text()
        self.compiled += 1
        return self._code(options)

    def load(self, code: bytes) -> str:
        if not code.startswith(b"code for "):
            raise DeviceError("cuda:0 fails: CUDA_ERROR_INVALID_IMAGE")
        return code.decode()

    def _code(self, options: tuple[str, ...]) -> bytes:
        return f"code for {options} {self._versions}".encode()


def keep(folder: Path, compiler: FakeCompiler, options: tuple[str, ...] = OPTIONS) -> Path:
    _, kernel = load_kernel(compiler, options, folder)
    keep_kernel(folder, kernel)
    return folder / f"{kernel.name}.kernel"


def test_it_is_compiled_once_and_loaded_from_then_on(tmp_path: Path) -> None:
    first, second = FakeCompiler("13.0", "90"), FakeCompiler("13.0", "90")
    path = keep(tmp_path / "kernels", first)
    function, kernel = load_kernel(second, OPTIONS, tmp_path / "kernels")
    assert function == "code for ('-DFRAMES=1',) ('13.0', '90')"
    assert (first.compiled, second.compiled, kernel) == (1, 0, Kernel(path.stem))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_another_gpu_compiler_or_option_has_a_kernel_of_its_own(tmp_path: Path) -> None:
    paths = {
        keep(tmp_path, FakeCompiler("13.0", "90")),
        keep(tmp_path, FakeCompiler("13.0", "89")),
        keep(tmp_path, FakeCompiler("13.1", "90")),
        keep(tmp_path, FakeCompiler("13.0", "90"), ("-DFRAMES=4",)),
    }
    assert len(paths) == 4


def cut(path: Path, _other: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def empty(path: Path, _other: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path, _other: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def exchange(path: Path, other: Path) -> None:
    path.write_bytes(other.read_bytes())


def link(path: Path, other: Path) -> None:
    path.unlink()
    path.symlink_to(other)


def grow(path: Path, _other: Path) -> None:
    os.truncate(path, MOST_BYTES + 1000)


def block(path: Path, _other: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [cut, empty, flip, exchange, link, grow])
def test_a_file_that_is_not_what_its_name_says_is_made_anew(tmp_path: Path, harm: Callable[[Path, Path], None]) -> None:
    path, other = keep(tmp_path, FakeCompiler("90")), keep(tmp_path, FakeCompiler("89"))
    harm(path, other)
    compiler = FakeCompiler("90")
    assert keep(tmp_path, compiler) == path
    assert compiler.compiled == 1
    assert keep(tmp_path, compiler) == path
    assert compiler.compiled == 1


def test_what_cannot_be_made_anew_is_no_error(tmp_path: Path) -> None:
    path = keep(tmp_path, FakeCompiler("90"))
    block(path, path)
    assert load_kernel(FakeCompiler("90"), OPTIONS, tmp_path)[1].code
    assert keep(tmp_path, FakeCompiler("90")) == path
    keep_kernel(tmp_path / "gone", Kernel("a" * 64))


def test_code_that_the_driver_refuses_is_compiled_again(tmp_path: Path) -> None:
    path = keep(tmp_path, FakeCompiler("90"))
    keep_kernel(tmp_path, Kernel(path.stem, base64.b64encode(b"for another driver").decode()))
    function, kernel = load_kernel(FakeCompiler("90"), OPTIONS, tmp_path)
    assert function.startswith("code for")
    assert kernel.code


def test_without_a_folder_it_is_compiled(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "none"):
        compiler = FakeCompiler("90")
        assert load_kernel(compiler, OPTIONS, folder)[1].code
        assert compiler.compiled == 1


def test_those_not_used_for_longest_are_removed(tmp_path: Path) -> None:
    paths = [keep(tmp_path, FakeCompiler(str(number))) for number in range(KEPT)]
    for age, path in enumerate(paths):
        os.utime(path, ns=(age, age))
    keep(tmp_path, FakeCompiler("0"))  # used again
    (tmp_path / "note").write_text("not a kernel")
    new = keep(tmp_path, FakeCompiler("new"))
    left = {path for path in tmp_path.iterdir() if path.suffix == ".kernel"}
    assert left == {new, *paths} - {paths[1]}
    assert (tmp_path / "note").exists()


def test_a_kernel_is_what_was_kept(tmp_path: Path) -> None:
    keep_kernel(tmp_path, Kernel("a" * 64, base64.b64encode(b"code").decode()))
    assert find_kernel(tmp_path, "a" * 64) == b"code"
    assert find_kernel(tmp_path, "b" * 64) is None

"""Loads the kernel that was kept, or compiles it."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from owtmix.compositor.gpu.device import DeviceError
from owtmix.compositor.gpu.kernel_args import SOURCE
from owtmix.compositor.gpu.kernel_cache import Kernel, find_kernel

_log = logging.getLogger(__name__)


class Compiler(Protocol):
    """Compiler and driver of a GPU. Every method raises DeviceError when they fail."""

    def versions(self) -> Sequence[str]:
        """The versions of compiler and driver, and the architecture of the GPU."""

    def compile(self, source: str, options: tuple[str, ...]) -> bytes:
        """Compile for this GPU."""

    def load(self, code: bytes) -> Any:
        """The kernel in compiled code, ready for launches."""


def load_kernel(compiler: Compiler, options: tuple[str, ...], folder: Path | None) -> tuple[Any, Kernel]:
    """The kernel, loaded from ``folder`` or compiled; and what was loaded, with its code if it was compiled.

    Raises:
        DeviceError: it can neither be loaded nor compiled.
    """
    source = SOURCE.read_text(encoding="ascii")
    name = _name(source, options, compiler.versions())
    if folder and (code := find_kernel(folder, name)):
        try:
            return compiler.load(code), Kernel(name)
        except DeviceError as error:
            _log.debug("the kernel that was kept is compiled again: %s", error)
    code = compiler.compile(source, options)
    return compiler.load(code), Kernel(name, base64.b64encode(code).decode("ascii"))


def _name(source: str, options: Sequence[str], versions: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps([source, *options, "", *versions]).encode()).hexdigest()

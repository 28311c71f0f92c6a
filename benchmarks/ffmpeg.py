"""FFmpeg's program, from the package imageio-ffmpeg: an engine, the maker of the scenes, and the judge of quality."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib import import_module

from benchmarks.measure import CommandError


@cache
def program() -> str:
    """The path of the binary: the one that ``IMAGEIO_FFMPEG_EXE`` names, or the package's."""
    return os.environ.get("IMAGEIO_FFMPEG_EXE") or str(import_module("imageio_ffmpeg").get_ffmpeg_exe())


def ffmpeg(arguments: Iterable[str]) -> str:
    """Run FFmpeg and return its standard error, which has the reports of its filters.

    Raises:
        CommandError: FFmpeg failed.
    """
    command = [program(), "-hide_banner", "-nostdin", "-y", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandError(f"{' '.join(command)[:500]}:\n{done.stderr[-2000:]}")
    return done.stderr


def version() -> str:
    """The version of the binary."""
    return subprocess.check_output([program(), "-version"], text=True).split()[2]

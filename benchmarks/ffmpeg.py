"""FFmpeg's command, from the package imageio-ffmpeg: a peer, the maker of the scenes, and the judge of quality."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from functools import cache


class FfmpegError(Exception):
    """FFmpeg failed; says what it wrote last."""


@cache
def program() -> str:
    """The path of the binary."""
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def ffmpeg(arguments: Iterable[str]) -> str:
    """Run FFmpeg; returns what it wrote to stderr, which is where its filters write.

    Raises:
        FfmpegError: it failed.
    """
    command = [program(), "-hide_banner", "-nostdin", "-y", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FfmpegError(f"{' '.join(command)[:500]}:\n{done.stderr[-2000:]}")
    return done.stderr


@cache
def has_filter(name: str) -> bool:
    """Whether the binary was built with a filter."""
    listed = subprocess.run([program(), "-hide_banner", "-filters"], capture_output=True, text=True, check=True)
    return any(line.split()[1:2] == [name] for line in listed.stdout.splitlines() if line.strip())


def version() -> str:
    """What the binary calls itself."""
    said = subprocess.run([program(), "-version"], capture_output=True, text=True, check=True)
    return said.stdout.split()[2]

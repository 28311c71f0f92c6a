"""Types of arguments: each reads a text of the command line, or says what is accepted."""

from __future__ import annotations

import argparse
import re
from fractions import Fraction
from pathlib import Path
from typing import Final

from owtmix.base.errors import SpecError
from owtmix.base.ids import is_job_id
from owtmix.base.named_file import unfit_path
from owtmix.jobs.options import MAX_CHUNK_S, MAX_WORKERS, MIN_CHUNK_S, Options
from owtmix.workers.cluster_address import is_address

_SIXTY: Final = 60


def seconds(text: str) -> Fraction:
    """Parse ``HH:MM:SS.fff``, ``MM:SS`` or seconds into exact seconds.

    Raises:
        ValueError: ``text`` has none of these forms.
    """
    if not re.fullmatch(r"(\d+:)?(\d+:)?\d+(\.\d+)?", text, re.ASCII):
        raise ValueError(text)
    seconds = Fraction(0)
    for position, part in enumerate(text.split(":")):
        if position and Fraction(part) >= _SIXTY:
            raise ValueError(text)
        seconds = seconds * _SIXTY + Fraction(part)
    return seconds


def job_id(text: str) -> str:
    """The id of a job; empty for none."""
    if text and not is_job_id(text):
        raise argparse.ArgumentTypeError(f"{text} is not a job id")
    return text


def workers(text: str) -> int | None:
    """A number of workers; None for ``auto``."""
    return None if text == "auto" else count(text)


def count(text: str) -> int:
    """A whole number from 1 to ``MAX_WORKERS``."""
    if not re.fullmatch(r"[1-9]\d{0,2}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to {MAX_WORKERS}")
    return int(text)


def folder(text: str) -> Path:
    """The absolute path of a folder."""
    if not text:
        raise argparse.ArgumentTypeError("a path is expected")
    path = Path(text).absolute()
    if problem := unfit_path(str(path)):
        raise argparse.ArgumentTypeError(problem)
    return path


def process(text: str) -> int:
    """The number of a process."""
    if not re.fullmatch(r"[1-9]\d{0,8}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text} is not the number of a process")
    return int(text)


def chunk_s(text: str) -> Fraction:
    """The length of chunks in seconds."""
    seconds = Fraction(text) if re.fullmatch(r"\d{1,4}(\.\d{1,9})?", text, re.ASCII) else Fraction(0)
    if not MIN_CHUNK_S <= seconds <= MAX_CHUNK_S:
        accepted = f"a number of seconds from {MIN_CHUNK_S} to {MAX_CHUNK_S}"
        raise argparse.ArgumentTypeError(f"{text} is not {accepted}")
    return seconds


def device(text: str) -> str:
    """The name of a device."""
    try:
        return Options(device=text).device
    except SpecError:
        raise argparse.ArgumentTypeError(f"{text} is not auto, cpu, cuda or a GPU such as cuda:1") from None


def cluster(text: str) -> str:
    """The address of a cluster."""
    if not is_address(text):
        raise argparse.ArgumentTypeError(f"{text} is not auto, or an address such as 10.0.0.1:6379")
    return text


def override(text: str) -> tuple[str, str]:
    """A path in the job file, and the value there."""
    path, equals, value = text.partition("=")
    if not path or not equals:
        raise argparse.ArgumentTypeError(f"{text} is not PATH=VALUE, as in Data.MixerConfig.ResizeMode=1")
    return path, value

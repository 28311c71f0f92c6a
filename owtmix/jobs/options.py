"""The options of a job: what the command line, or a caller of the public API, adds to a job file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Final

from owtmix.base.errors import Problem, SpecError
from owtmix.workers.cluster_address import is_address

MAX_WORKERS: Final = 999
MIN_CHUNK_S: Final = 2
MAX_CHUNK_S: Final = 3600


def _is_worker_count(value: object) -> bool:
    return value is None or (type(value) is int and 1 <= value <= MAX_WORKERS)


def _is_chunk_length(value: object) -> bool:
    return value is None or (isinstance(value, Fraction) and MIN_CHUNK_S <= value <= MAX_CHUNK_S)


def _is_device(value: object) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"auto|cpu|cuda(:\d{1,2})?", value, re.ASCII))


def _are_overrides(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(text, str) for item in value.items() for text in item)


def _is_cluster(value: object) -> bool:
    return value is None or (isinstance(value, str) and is_address(value))


def _is_key(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_folder(value: object) -> bool:
    return value is None or isinstance(value, Path)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


_ACCEPTED: Final[tuple[tuple[str, Callable[[object], bool], str], ...]] = (
    ("index", _is_key, "text: a key, or a path such as ./index.json"),
    ("output", _is_key, "text: a key, or a path such as ./talk.mp4"),
    ("strict", _is_flag, "True or False"),
    ("overrides", _are_overrides, "a mapping from JSON paths to values, both of them text"),
    ("workers", _is_worker_count, f"a whole number from 1 to {MAX_WORKERS}"),
    ("chunk_s", _is_chunk_length, f"a Fraction from {MIN_CHUNK_S} to {MAX_CHUNK_S}"),
    ("fresh", _is_flag, "True or False"),
    ("device", _is_device, "auto, cpu, cuda or a GPU such as cuda:1"),
    ("decode_threads", _is_worker_count, f"a whole number from 1 to {MAX_WORKERS}"),
    ("places", _is_folder, "the path of a folder"),
    ("place_count", _is_worker_count, f"a whole number from 1 to {MAX_WORKERS}"),
    ("card_is_held", _is_flag, "True or False"),
    ("wait", _is_flag, "True or False"),
    ("cluster", _is_cluster, "auto, or the address of a cluster such as 10.0.0.1:6379"),
    ("benches", _is_worker_count, f"a whole number from 1 to {MAX_WORKERS}"),
)


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a job.

    Attributes:
        index: key of the index in the input store. With ``/``, ``./`` or ``../`` at its start it is a local path.
        output: key of the output in the output store, in place of ``FileNamePrefix``, or a local path likewise.
        strict: a recording that is missing or cannot be read is an error.
        overrides: values by their JSON paths, in place of those of the job file.
        workers: processes that compose; None for as many as there are processors.
        chunk_s: least length of a chunk in seconds, in place of the setting.
        fresh: finished chunks and measurements of earlier runs are not used.
        device: composes the picture: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        decode_threads: how many recordings each worker decodes at a time; None for as many as leaves no processor idle.
        places: folder of the places that jobs of this machine share (``workers.places``); while some are spare, more
            workers compose. None for none.
        place_count: how many places there are; None for as many as there are processors.
        card_is_held: the caller has placed the job on its card, and holds a session of the card's encoder for it.
        wait: wait at the end for the receivers of callbacks; otherwise ``resend`` delivers what is left.
        cluster: the Ray cluster whose nodes compose, too: ``auto``, or its address.
        benches: processes that compose there; None for as many as it has processors.

    Raises:
        SpecError: a value is not accepted.
    """

    index: str | None = None
    output: str | None = None
    strict: bool = False
    overrides: Mapping[str, str] = field(default_factory=dict)
    workers: int | None = None
    chunk_s: Fraction | None = None
    fresh: bool = False
    device: str = "auto"
    decode_threads: int | None = None
    places: Path | None = None
    place_count: int | None = None
    card_is_held: bool = False
    wait: bool = True
    cluster: str | None = None
    benches: int | None = None

    def __post_init__(self) -> None:
        problems = [
            Problem(name, f"{getattr(self, name)!r} is not {accepted}")
            for name, is_accepted, accepted in _ACCEPTED
            if not is_accepted(getattr(self, name))
        ]
        if problems:
            raise SpecError(*problems)

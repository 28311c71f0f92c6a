"""Which cards there are, by NVIDIA's ``nvidia-smi``: CUDA is never loaded in the process of a batch."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from owtmix.base.plain_text import plain_line

CARDS: Final = "index,uuid,name,memory.total,memory.free,pci.bus_id"
"""What is asked of each card."""
PATIENCE_S: Final = 20
"""A driver that was not used for long takes some seconds to begin."""
NO_EXTRA: Final = "the extra cuda12 or cuda13 of owtmix is not installed"
NO_DRIVER: Final = "there is no nvidia-smi, and so no NVIDIA driver"
HIDDEN: Final = "CUDA_VISIBLE_DEVICES names no card"
_MOST_BYTES: Final = 65_536
_LAST_WORDS_S: Final = 1
_MOST_REASON: Final = 200
_COLUMNS: Final = 6


@dataclass(frozen=True, slots=True)
class ListedCard:
    """A card. ``uuid`` names it in ``CUDA_VISIBLE_DEVICES``, whatever order CUDA counts cards in.

    ``free_mib`` of its ``memory_mib`` are taken by nobody. ``bus`` is its place on the PCI bus, as of ``bus_place``.
    """

    uuid: str
    name: str
    memory_mib: int
    free_mib: int = 0
    bus: str = ""


@dataclass(frozen=True, slots=True)
class CardList:
    """The cards that jobs may use; where there is none, why, and whether that is a failure of the driver."""

    cards: tuple[ListedCard, ...]
    why: str = ""
    is_failure: bool = False


class NoAnswerError(Exception):
    """``nvidia-smi`` failed or was silent; the message says how."""


def list_cards(
    environment: Mapping[str, str] = os.environ,
    ask: Callable[[], str] | None = None,
    is_installed: Callable[[], bool] = lambda: bool(find_spec("cupy")),
) -> CardList:
    """The cards that ``CUDA_VISIBLE_DEVICES`` shows, in its order.

    Args:
        environment: the variables.
        ask: what ``nvidia-smi`` answers; raises a NoAnswerError.
        is_installed: whether owtmix can use a card at all.
    """
    if not is_installed():
        return CardList((), NO_EXTRA)
    if ask is None and shutil.which("nvidia-smi") is None:
        return CardList((), NO_DRIVER)
    try:
        found = parse_cards((ask or ask_driver)())
    except NoAnswerError as error:
        return CardList((), str(error), is_failure=True)
    if not found:
        return CardList((), "nvidia-smi lists no card", is_failure=True)
    shown = visible(found, environment.get("CUDA_VISIBLE_DEVICES"))
    return CardList(shown, "" if shown else HIDDEN)


def ask_driver(columns: str = CARDS, *options: str, command: str = "nvidia-smi", patience_s: float = PATIENCE_S) -> str:
    """What ``nvidia-smi`` says of all cards: a line each, with ``columns`` between commas.

    Raises:
        NoAnswerError: it failed, or did not answer in time, as happens with a card that has fallen off its bus.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - a fixed command
            [command, f"--query-gpu={columns}", "--format=csv,noheader,nounits", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        raise NoAnswerError(f"nvidia-smi cannot be run: {error.strerror}") from None
    try:
        output, errors = process.communicate(timeout=patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        # A process that hangs in the driver does not even end when it is killed: nobody waits for that.
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=_LAST_WORDS_S)
        raise NoAnswerError(f"nvidia-smi did not answer within {patience_s:g} s") from None
    if process.returncode:
        said = plain_line((errors or output)[:_MOST_BYTES].decode(errors="replace").strip())[:_MOST_REASON]
        raise NoAnswerError(f"nvidia-smi failed with status {process.returncode}: {said}")
    return output[:_MOST_BYTES].decode(errors="replace")


def parse_cards(answer: str) -> tuple[ListedCard, ...]:
    """The cards in an answer of ``nvidia-smi``; lines that are none are left out."""
    cards = []
    for row in csv.reader(answer.splitlines(), skipinitialspace=True):
        if len(row) == _COLUMNS and row[0].strip().isdecimal() and row[1].startswith("GPU-"):
            uuid, name, *sizes, bus = map(str.strip, row[1:])
            memory_mib, free_mib = (int(size) if size.isdecimal() else 0 for size in sizes)
            cards.append(ListedCard(uuid, name, memory_mib, free_mib, bus_place(bus)))
    return tuple(cards)


def bus_place(bus: str) -> str:
    """A place on the PCI bus in one form: NVIDIA's tools write the domain with four digits or with eight.

    >>> bus_place("00000000:3B:00.0")
    '0000:3b:00.0'
    """
    domain, _, rest = bus.strip().lower().partition(":")
    return f"{domain[-4:]}:{rest}"


def visible(cards: Sequence[ListedCard], shown: str | None) -> tuple[ListedCard, ...]:
    """What ``CUDA_VISIBLE_DEVICES`` leaves of the cards: as CUDA does, up to the first entry that makes no sense.

    Numbers count as ``nvidia-smi`` does, by the bus. An instance of MIG, which is not listed, has no known memory.
    """
    if shown is None:
        return tuple(cards)
    found: list[ListedCard] = []
    for entry in map(str.strip, shown.split(",")):
        if entry.isdecimal():
            named = [*cards[int(entry) : int(entry) + 1]]
        elif entry.startswith("MIG-"):
            named = [ListedCard(entry, "MIG", 0)]
        else:
            named = [card for card in cards if entry.startswith("GPU-") and card.uuid.startswith(entry)]
        if len(named) != 1 or named[0] in found:
            break
        found += named
    return tuple(found)

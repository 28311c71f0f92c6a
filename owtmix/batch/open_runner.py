"""Opens what runs the jobs of a batch: this machine with its places and cards, or a cluster."""

from __future__ import annotations

import logging
import resource
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Final

from owtmix.batch.admission import Admission
from owtmix.batch.arguments import Arguments
from owtmix.batch.capacity import Room
from owtmix.batch.card_rates import read_rates
from owtmix.batch.cards import Cards
from owtmix.batch.cluster import RayRunner
from owtmix.batch.command import Program
from owtmix.batch.local import LocalRunner
from owtmix.batch.plan import BatchPlan
from owtmix.batch.problems import QueueError
from owtmix.batch.runner import Runner
from owtmix.jobfile.settings import Settings
from owtmix.jobs.state import state_folder
from owtmix.workers.card_list import CardList, list_cards
from owtmix.workers.cluster_link import ClusterLink
from owtmix.workers.limits import available_cores
from owtmix.workers.places import Places

_FILES_PER_JOB: Final = 6
_OTHER_FILES: Final = 256

_log = logging.getLogger(__name__)


@contextmanager
def open_runner(
    program: Program, arguments: Arguments, settings: Settings, link: ClusterLink | None, plan: BatchPlan
) -> Iterator[Runner]:
    """Open what runs the jobs of ``plan``: on a cluster with ``link``, else on this machine.

    Raises:
        QueueError: the places of this machine cannot be used.
    """
    if link:
        if arguments.program is None:
            program = replace(program, command=())
        with closing(RayRunner(link, program, arguments.gpus or 0.0, arguments.jobs)) as runner:
            yield runner
        return
    jobs = arguments.jobs or available_cores()
    _allow_files(jobs)
    try:
        places = Places.of_machine(jobs)
    except OSError as error:
        raise QueueError(f"{error.filename} cannot hold the places of jobs: {error.strerror}") from None
    state = arguments.state or state_folder()
    rooms = {name: guessed.room for name, guessed in plan.guesses.items() if guessed.room}
    cards = _cards(state, arguments.gpus, settings.gpu.memory_mib, rooms)
    admission = Admission(state)
    program = replace(program, places=places.folder, place_count=jobs)
    with closing(LocalRunner(program, jobs, places, admission, cards)) as local:
        yield local


def _cards(state: Path, share: float | None, canvas_mib: int, rooms: Mapping[str, Room]) -> Cards:
    """The cards of this machine. Without any, or where none is to be used, all jobs run on the CPU."""
    found = CardList((), "--gpus 0") if share == 0 else list_cards()
    part = Fraction(share).limit_denominator(1000) if share else None
    cards = Cards(found, available_cores(), _locks, part, read_rates(state), canvas_mib, rooms)
    level = logging.INFO
    if not found.cards:  # most machines have none; who asks for one, or has a broken one, has to know
        level = logging.WARNING if share or found.is_failure else logging.DEBUG
    for line in cards.describe():
        _log.log(level, "%s", line)
    return cards


def _locks(name: str, count: int) -> Places:
    return Places.of_machine(count, name)


def _allow_files(jobs: int) -> None:
    """Have as many open files as ``jobs`` jobs take, if the system allows that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = jobs * _FILES_PER_JOB + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))

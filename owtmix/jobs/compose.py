"""The steps from a plan to the published output."""

from __future__ import annotations

import logging
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

from owtmix.base.errors import DestinationError
from owtmix.base.own_files import make_own, remove
from owtmix.jobs.benches import hire_benches
from owtmix.jobs.card_note import note_card
from owtmix.jobs.overwriting import OverwriteGuard
from owtmix.jobs.prepare import PLAN_OUTPUT, READ_INDEX, Indexed, Prepared
from owtmix.jobs.steps import JobRun, Step, run_steps
from owtmix.outputs.registry import OUTPUTS
from owtmix.plan.decoder_budget import needed_bytes
from owtmix.plan.input_report import InputReport, report_input, use_of
from owtmix.plan.media_info import Damage, DecodeStats
from owtmix.plan.runs import best_runs
from owtmix.produce.chunk_cache import ChunkCache
from owtmix.produce.chunk_key import InputVersions, track_keys
from owtmix.produce.disk_space import check_disk_space
from owtmix.produce.production import Production, ProductionResult
from owtmix.produce.spare_places import SparePlaces
from owtmix.produce.tasks import RenderSetup
from owtmix.produce.workspace import Workspace
from owtmix.workers.limits import available_cores
from owtmix.workers.places import Places
from owtmix.workers.process_state import available_memory_bytes

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Staged:
    """The output can be written, to the file ``staged``."""

    staged: Path
    indexed: Indexed


@dataclass(frozen=True, slots=True)
class Planned:
    """The output was planned, and will be written to the file ``staged``."""

    staged: Path
    guard: OverwriteGuard
    prepared: Prepared


@dataclass(frozen=True, slots=True)
class Composed:
    """The output was written to ``staged``; ``reports`` say what became of each input."""

    staged: Path
    guard: OverwriteGuard
    prepared: Prepared
    result: ProductionResult
    reports: tuple[InputReport, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """The output is at ``address``."""

    composed: Composed
    address: str


def stage_output(run: JobRun, indexed: Indexed) -> Staged:
    """Check, before anything is fetched or made, that the output can be written.

    The index comes first: a store that cannot be used is an error of the input.

    Raises:
        DestinationError: it cannot.
    """
    request = run.request
    staged = run.temporary.add(request.output.stage(request.spec.output_key, request.spec.job_id, run.tracks))
    if staged.parent == run.tracks:  # from there it is uploaded
        make_own(staged)
    run.executor.allow(write=[staged])
    return Staged(staged, indexed)


def prepare_output(run: JobRun, staged: Staged) -> Planned:
    """Gather the inputs and plan the output; receivers are told who comes and goes."""
    prepared, _ = run_steps(PLAN_OUTPUT, run, staged.indexed)
    run.announcer.plan(prepared.setup.plan)
    return Planned(staged.staged, staged.indexed.guard, prepared)


def compose(run: JobRun, planned: Planned) -> Composed:
    """Compose and mix the output.

    Raises:
        MixError: of any kind.
    """
    setup, plan, work = planned.prepared.setup, planned.prepared.setup.plan, run.work
    images = {source: image.digest() for source, image in setup.images.items()}
    versions = InputVersions([file.version for file in setup.files], images)
    cache = ChunkCache(run.chunks)
    note_card(run.chunks, setup.device.card)
    kept_bytes = cache.size_bytes(track_keys(plan, versions))
    check_disk_space(plan, work, planned.staged.parent, kept_bytes)
    sources = planned.prepared.sources.reserving(max(plan.expected_bytes, 2 * plan.expected_bytes - kept_bytes))
    workspace = _workspace(run, setup, cache)
    production = Production(setup, sources, versions, workspace, run.announcer)
    result = production.make([OUTPUTS[plan.container](planned.staged)], run.progress)
    if workspace.benches:
        _log.info("%d of %d chunks were made on the cluster", workspace.benches.made, result.chunks)
    reports = tuple(_input_reports(planned.prepared, result))
    for report in reports:
        for message in report.damages():
            run.announcer.warn_damaged(message)
    return Composed(planned.staged, planned.guard, planned.prepared, result, reports)


def _workspace(run: JobRun, setup: RenderSetup, cache: ChunkCache) -> Workspace:
    """As many workers as are wanted and have memory on this machine; further ones while places are spare."""
    options, cores = run.request.options, available_cores()
    wanted, places = _wanted_workers(setup, options.workers or cores), options.place_count or cores
    fitting, each_bytes = _fitting_workers(setup, max(wanted, places))
    workers = min(wanted, fitting)
    if workers < wanted:
        _log.info("%d workers compose, not %d: each needs about %d MiB", workers, wanted, each_bytes >> 20)
    if options.decode_threads is None and setup.device.gpu is None and setup.plan.picture:
        workers = best_runs(setup.plan.picture, setup.plan.sources, workers)
        _log.debug("the picture is composed in %d runs", workers)
    threads = options.decode_threads or max(1, cores // workers)
    spare = SparePlaces(_places(options.places, places), min(fitting, places) - workers)
    return Workspace(run.executor, workers, threads, cache, run.tracks, spare, hire_benches(run, setup))


def _wanted_workers(setup: RenderSetup, wanted: int) -> int:
    """At most as many as have a session of the GPU's encoder."""
    sessions = setup.device.sessions
    if not sessions or sessions >= wanted:
        return wanted
    _log.info("%d workers compose, not %d: the job holds so many sessions of the GPU's encoder", sessions, wanted)
    return sessions


def _places(folder: Path | None, count: int) -> Places | None:
    """The places in a folder; without it, or where it cannot be used, none: the job goes on with its own workers."""
    if folder is None:
        return None
    try:
        return Places(folder, count)
    except OSError as error:
        _log.warning("%s cannot be used for places: %s", folder, error.strerror)
        return None


def _fitting_workers(setup: RenderSetup, most: int) -> tuple[int, int]:
    """How many workers of at most ``most`` have memory on this machine, and the bytes that each needs."""
    each_bytes = needed_bytes(setup.plan, {source: image.size for source, image in setup.images.items()})
    available_bytes = available_memory_bytes()
    return most if available_bytes is None else max(1, min(most, available_bytes // each_bytes)), each_bytes


def publish(run: JobRun, composed: Composed) -> Published:
    """Put the output in its place, and remove the work folder.

    Raises:
        DestinationError: the store does not take it, or it was removed, or another thing lies in its place.
        SpecError: meanwhile it would replace an input.
    """
    request, staged = run.request, composed.staged
    made = staged.lstat()
    if not stat.S_ISREG(made.st_mode) or made.st_nlink != 1:
        raise DestinationError(f"{staged} is not the file that was made: it was replaced")
    run.progress.stage("publishing", Fraction(made.st_size), "bytes")
    composed.guard.check()
    address = request.output.commit(staged, request.spec.output_key, lambda sent: run.progress.advance(Fraction(sent)))
    run.temporary.discard(staged)
    with suppress(OSError):
        remove(run.work)
    run.announcer.finish(address)
    return Published(composed, address)


def _input_reports(prepared: Prepared, result: ProductionResult) -> Iterator[InputReport]:
    """What became of each input."""
    for number, source in enumerate(result.plan.sources):
        if number in result.lost:
            yield InputReport(source.key, left_out=result.lost[number])
            continue
        measured = prepared.setup.files[number].probe
        assert measured
        probe = replace(measured, video_stats=result.video_stats.get(number, DecodeStats()))
        if any(track.is_counted for track in source.sounds):  # it was not decoded to its end when it was measured
            damage = probe.audio_damage.joined(result.audio_damage.get(number, Damage()))
            probe = replace(probe, audio_damage=damage)
        yield report_input(source.key, probe, use_of(result.plan, number))
    for key, reason in result.plan.left_out:
        yield InputReport(key, left_out=reason)


COMPOSE: Final = (
    *READ_INDEX,
    Step("stage the output", "planning", stage_output),
    Step("prepare", "planning", prepare_output),
    Step("compose", "composing", compose),
    Step("publish", "publishing", publish),
)
"""From nothing to ``Published``."""

"""The steps from a plan to the published output."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

from owtmix.jobs.prepare import PLAN_OUTPUT, READ_INDEX, Indexed, Prepared
from owtmix.jobs.steps import JobRun, Step, run_steps
from owtmix.outputs.registry import OUTPUTS
from owtmix.plan.input_report import InputReport, report_input, use_of
from owtmix.plan.media_info import Damage, DecodeStats
from owtmix.produce.chunk_cache import ChunkCache
from owtmix.produce.chunk_key import InputVersions, track_keys
from owtmix.produce.disk_space import check_disk_space
from owtmix.produce.production import Production, ProductionResult
from owtmix.produce.workspace import Workspace
from owtmix.workers.limits import available_cores


@dataclass(frozen=True, slots=True)
class Staged:
    """The output can be written, to the file ``staged``."""

    staged: Path
    indexed: Indexed


@dataclass(frozen=True, slots=True)
class Planned:
    """The output was planned, and will be written to the file ``staged``."""

    staged: Path
    prepared: Prepared


@dataclass(frozen=True, slots=True)
class Composed:
    """The output was written to ``staged``; ``reports`` say what became of each input."""

    staged: Path
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
    staged = request.output.stage(request.spec.output_key, request.spec.job_id, run.work / "tracks")
    return Staged(run.temporary.add(staged), indexed)


def prepare_output(run: JobRun, staged: Staged) -> Planned:
    """Gather the inputs and plan the output; receivers are told who comes and goes."""
    prepared, _ = run_steps(PLAN_OUTPUT, run, staged.indexed)
    run.announcer.plan(prepared.setup.plan)
    return Planned(staged.staged, prepared)


def compose(run: JobRun, planned: Planned) -> Composed:
    """Compose and mix the output.

    Raises:
        MixError: of any kind.
    """
    setup, plan, work = planned.prepared.setup, planned.prepared.setup.plan, run.work
    images = {source: image.digest() for source, image in setup.images.items()}
    versions = InputVersions([file.version for file in setup.files], images)
    cache = ChunkCache(work / "chunks")
    kept_bytes = cache.size_bytes(track_keys(plan, versions))
    check_disk_space(plan, work, planned.staged.parent, kept_bytes)
    sources = planned.prepared.sources.reserving(max(plan.expected_bytes, 2 * plan.expected_bytes - kept_bytes))
    workers = run.request.options.workers or available_cores()
    workspace = Workspace(run.executor, workers, max(1, available_cores() // workers), cache, work / "tracks")
    production = Production(setup, sources, versions, workspace, run.announcer)
    result = production.make([OUTPUTS[plan.container](planned.staged)], run.progress)
    reports = tuple(_input_reports(planned.prepared, result))
    for report in reports:
        for message in report.damages():
            run.announcer.warn_damaged(message)
    return Composed(planned.staged, planned.prepared, result, reports)


def publish(run: JobRun, composed: Composed) -> Published:
    """Put the output in its place, and remove the work folder.

    Raises:
        DestinationError: the store does not take it.
    """
    request, staged = run.request, composed.staged
    run.progress.stage("publishing", Fraction(staged.stat().st_size), "bytes")
    address = request.output.commit(staged, request.spec.output_key, lambda sent: run.progress.advance(Fraction(sent)))
    run.temporary.discard(staged)
    shutil.rmtree(run.work, ignore_errors=True)
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

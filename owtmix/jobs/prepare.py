"""The steps from a request to its plan: choose the device, read the index, gather the inputs, plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from owtmix.base.errors import InputError
from owtmix.base.wording import first_lines, some
from owtmix.compositor.text.coverage import missing_glyph_warnings, with_fonts
from owtmix.compositor.text.cut_text import cut_text_warnings
from owtmix.inputs.gather import Gathered, InputGatherer, clock_rules
from owtmix.inputs.image_files import DecodedImage
from owtmix.inputs.measurement_cache import MeasurementCache
from owtmix.inputs.prefetch import SourceSet
from owtmix.jobfile.index import Recording
from owtmix.jobfile.spec import JobSpec, url_secrets
from owtmix.jobs.card_note import read_card
from owtmix.jobs.overwriting import OverwriteGuard, guard_inputs, refuse_state
from owtmix.jobs.state import KERNELS
from owtmix.jobs.steps import JobRun, Step
from owtmix.notify.events import WarnCode
from owtmix.plan.build import make_plan, with_device, within_gpu_limits
from owtmix.plan.course import course_of
from owtmix.plan.decoder_budget import within_decoder_memory
from owtmix.plan.device import CPU, RenderDevice
from owtmix.plan.voice import Voice
from owtmix.produce.device_choice import GpuUse, choose_device
from owtmix.produce.tasks import RenderSetup
from owtmix.workers.limits import available_cores


@dataclass(frozen=True, slots=True)
class Indexed:
    """The index was read; ``recordings`` are those of subscribed streams, ``guard`` protects all of the room."""

    device: RenderDevice
    gatherer: InputGatherer
    spec: JobSpec
    recordings: tuple[Recording, ...]
    guard: OverwriteGuard


@dataclass(frozen=True, slots=True)
class InputsGathered:
    """Recordings were measured, and watermark ``images`` decoded, by their source.

    ``voices`` are those in recordings by the number of their source, where who speaks decides anything.
    """

    device: RenderDevice
    spec: JobSpec
    gatherer: InputGatherer
    gathered: Gathered
    images: Mapping[str, DecodedImage]
    voices: Mapping[int, Voice] | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that is needed to render; not all sources have been fetched yet."""

    setup: RenderSetup
    sources: SourceSet


def choose_render_device(run: JobRun, _: None) -> RenderDevice:
    """Choose what composes; in a job without picture nothing does.

    Raises:
        SetupError: a GPU was asked for, and does not work.
    """
    request = run.request
    if not request.spec.video:
        return CPU
    use = GpuUse(
        request.settings.gpu.memory_mib << 20,
        encodes=request.spec.container == "mp4",
        workers=request.options.workers or available_cores(),
        holds=run.holds,
        kernels=run.state / KERNELS,
        folder=run.tracks,
        card=read_card(run.chunks),
    )
    return choose_device(run.executor, request.options.device, use)


def select_recordings(run: JobRun, device: RenderDevice) -> Indexed:
    """Read the index, and select the recordings of subscribed streams.

    Raises:
        InputError: there is no index, or nothing in it is subscribed.
        SpecError: the output would overwrite an input.
    """
    run.progress.stage("reading", None)
    request, spec, warn = run.request, run.request.spec, run.announcer.warn
    named = request.options.index or spec.index_key
    gatherer = InputGatherer(
        spec,
        request.settings,
        request.input,
        run.executor,
        run.inputs,
        run.tracks,
        named,
        probes=MeasurementCache(run.probes, clock_rules(request.settings), fresh=request.options.fresh),
        strict=request.options.strict,
        is_option=bool(request.options.index),
    )
    index = gatherer.index
    if index.job_id and index.job_id != spec.job_id:
        warn(f"the index is of the job {index.job_id}, not of {spec.job_id}")
    if index.room_id and spec.room_id and index.room_id != spec.room_id:
        warn(f"the index is of the room {index.room_id}, not of {spec.room_id} (Internal.RoomId)")
    found = gatherer.updates()
    run.hide(secret for mark in found.spec.images for secret in url_secrets(mark.source))
    if found.doubt and request.options.strict:
        raise InputError(found.doubt)
    if found.doubt:
        warn(found.doubt)
    spec = found.spec
    course = course_of(spec, index)
    for warning in course.check():
        warn(warning)
    streams, beyond = course.streams()
    if beyond:
        limit = spec.subscription.max_streams
        warn(f"streams beyond MaxSubscriptions ({limit}) are left out: {some(beyond)}", WarnCode.STREAMS_BEYOND_LIMIT)
    recordings = tuple(recording for recording in index.files if recording.stream in streams)
    if not recordings:
        raise InputError("the index has no recording of a stream that is subscribed: see Data.SubscribeConfig")
    refuse_state(request, run.state, [*index.keys, *filter(None, [gatherer.index_key, found.key])])
    guard = guard_inputs(request, spec.images, index.keys, gatherer.index_key, found)
    guard.check()
    return Indexed(device, gatherer, spec, recordings, guard)


def gather_inputs(run: JobRun, indexed: Indexed) -> InputsGathered:
    """Measure the recordings, and decode the watermark images.

    Raises:
        InputError: no recording can be used, or in a strict job one cannot.
        RenderError: the machine is short of what it takes.
    """
    warn = run.announcer.warn
    spec = indexed.spec
    listens = bool(spec.video) and any(state.mixer.listens for state in course_of(spec, indexed.gatherer.index).states)
    gathered = indexed.gatherer.recordings(indexed.recordings, run.progress, listens=listens)
    reasons = [f"{key} is left out: {reason}" for key, reason in gathered.left_out]
    if reasons and (run.request.options.strict or not gathered.clips):
        left = "" if gathered.clips else "no recording is left: "
        raise InputError(left + first_lines(reasons))
    for reason in (*reasons, *gathered.warnings):
        warn(reason)
    voices = _voices(run, indexed, gathered) if listens else None
    images = indexed.gatherer.images(indexed.spec.images, lambda what: warn(what, WarnCode.WATERMARK_LEFT_OUT))
    return InputsGathered(indexed.device, indexed.spec, indexed.gatherer, gathered, images, voices)


def _voices(run: JobRun, indexed: Indexed, gathered: Gathered) -> Mapping[int, Voice]:
    """The voices of those who may speak.

    Raises:
        InputError: one of them cannot be listened to, and the job is strict.
    """
    numbers = [clip.source for clip in gathered.clips if clip.sounds and not clip.recording.stream.is_screen]
    problems: list[str] = []
    found = indexed.gatherer.voices(gathered, numbers, run.progress, problems.append)
    if problems and run.request.options.strict:
        raise InputError(first_lines(problems))
    for problem in problems:
        run.announcer.warn(problem)
    return found


def plan_output(run: JobRun, inputs: InputsGathered) -> Prepared:
    """Plan the output.

    Raises:
        SpecError: it would be longer than the limit, or take more memory.
    """
    request, spec, warn = run.request, inputs.spec, run.announcer.warn
    gathered = inputs.gathered
    sizes = {source: image.size for source, image in inputs.images.items()}
    plan = make_plan(
        spec,
        inputs.gatherer.index,
        gathered.clips,
        request.settings.planning,
        gathered.left_out,
        sizes,
        inputs.voices,
    )
    plan, lacks = within_decoder_memory(plan, sizes, request.settings.limits.worker_memory_mib << 20)
    if lacks and request.options.strict:
        raise InputError(first_lines(lacks))
    for lack in lacks:
        run.announcer.warn_damaged(lack)
    plan = with_fonts(plan, request.settings.text.fonts, warn)
    run.executor.allow(read=[Path(font.path) for font in plan.picture.fonts] if plan.picture else [])
    for warning in (*plan.warnings, *missing_glyph_warnings(plan.picture), *cut_text_warnings(plan.picture)):
        warn(warning)
    device = within_gpu_limits(plan, inputs.device)
    if device != inputs.device:
        warn(f"the picture is composed on the CPU: {device.why}")
    plan = replace(plan, warnings=tuple(run.announcer.warnings), confinement=run.executor.confinement)
    plan = with_device(plan, spec, device)
    sources = gathered.sources
    setup = RenderSetup(plan, tuple(sources.files), inputs.images, request.options.strict, device)
    return Prepared(setup, sources)


READ_INDEX: Final = (
    Step("choose the device", "planning", choose_render_device),
    Step("read the index", "planning", select_recordings),
)
"""From nothing to ``Indexed``."""
PLAN_OUTPUT: Final = (
    Step("gather the inputs", "planning", gather_inputs),
    Step("plan the output", "planning", plan_output),
)
"""From ``Indexed`` to ``Prepared``."""
PREPARE: Final = (*READ_INDEX, *PLAN_OUTPUT)

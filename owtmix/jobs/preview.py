"""The step that draws one frame of a planned output."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Final

from owtmix.base.errors import DestinationError, Problem, SpecError
from owtmix.base.own_files import read_own, write_whole
from owtmix.base.time import timecode
from owtmix.jobs.prepare import PLAN_OUTPUT, READ_INDEX, Indexed, Prepared
from owtmix.jobs.steps import JobRun, Step
from owtmix.plan.device import CPU, RenderDevice
from owtmix.plan.source_usage import source_usage
from owtmix.produce.tasks import MOST_PNG_BYTES, StillTask
from owtmix.workers.alone import do_alone
from owtmix.workers.limits import require_value

NEW_FILE_MODE: Final = 0o666
"""Reduced by the umask, as for every file that a user asked for."""


def preview_steps(t: Fraction, png: Path) -> tuple[Step, ...]:
    """From nothing to the PNG file with the frame at output time ``t``. The CPU draws it: no device is chosen."""

    def no_device(run: JobRun, _: None) -> RenderDevice:
        if run.request.options.device.startswith("cuda"):
            run.announcer.warn(f"--device {run.request.options.device} is for jobs: a preview is drawn on the CPU")
        return CPU

    def check(_: JobRun, indexed: Indexed) -> Indexed:
        indexed.guard.check_file(png)
        return indexed

    def draw(run: JobRun, prepared: Prepared) -> Path:
        return draw_frame(run, prepared, t, png)

    return (
        Step("choose the CPU", "planning", no_device),
        *READ_INDEX[1:],
        Step("check the file", "planning", check),
        *PLAN_OUTPUT,
        Step("draw", "drawing", draw),
    )


def draw_frame(run: JobRun, prepared: Prepared, t: Fraction, png: Path) -> Path:
    """Fetch what the frame at ``t`` needs, and draw it.

    Raises:
        SpecError: the output has no picture, or none at ``t``.
        DestinationError: the file cannot be written.
    """
    setup = prepared.setup
    picture = setup.plan.picture
    if picture is None:
        raise SpecError(Problem("Data.RecordingConfig.MediaChannel", "there is no picture to preview: write 2 or 3"))
    number = picture.clock.index(t)
    if not 0 <= number < picture.frames:
        end = timecode(setup.plan.duration_s)
        raise SpecError(Problem("", f"the output ends at {end}: choose a time from 0 to there"))
    uses = source_usage(setup.plan, [range(number, number + 1)], sound=False)
    with prepared.sources.prefetch(uses) as prefetcher:
        if size_bytes := prefetcher.missing_bytes:
            run.progress.stage("fetching", Fraction(size_bytes), "bytes")
        prefetcher.wait(uses, lambda missing: run.progress.advance(Fraction(size_bytes - missing)))
        for source, error in prefetcher.failed().items():
            message = f"{setup.plan.sources[source].key} is left out: {error}"
            setup.report_problem(message, run.announcer.warn)
    run.progress.stage("drawing", None)
    drawn = run.tracks / "preview.png"
    require_value(do_alone(run.executor, StillTask(setup, number, drawn)))
    try:
        write_whole(png, read_own(drawn, MOST_PNG_BYTES), NEW_FILE_MODE)
    except OSError as error:
        raise DestinationError(f"{png} cannot be written: {error.strerror}") from None
    return png

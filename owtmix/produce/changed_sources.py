"""Tracks of sources that were changed while they were made: what is in them cannot be read again."""

from __future__ import annotations

from collections.abc import Sequence

from owtmix.inputs.source_file import SourceFile
from owtmix.plan.model import RenderPlan
from owtmix.produce.chunk_key import InputVersions, audio_key, chunk_key
from owtmix.produce.failures import Ending
from owtmix.produce.tasks import AudioTask, TrackTask
from owtmix.workers.pending_files import remove_fetched


def remove_changed(ending: Ending, files: Sequence[SourceFile]) -> None:
    """Remove fetched copies that were changed, so that they are fetched again where they are needed."""
    for stop in ending.stops:
        if stop.is_change and files[stop.source].is_fetched:
            remove_fetched(files[stop.source].path)


def key_of_rest(task: TrackTask, ending: Ending, plan: RenderPlan, versions: InputVersions) -> str | None:
    """The key of a track that has no more of each changed source than was read before; None when it must not be used.

    ``plan`` leaves out these sources, perhaps earlier than the track: then it must not be used.
    """
    if not ending.stops or not all(stop.is_change for stop in ending.stops):
        return None
    if isinstance(task, AudioTask):  # the only one, so that the plan is cut where it says
        return audio_key(plan, versions)
    made = task.setup.plan
    for stop in ending.stops:
        made = made.without_source(stop.source, stop.at_s, sound=False)
    key = chunk_key(made, task.frames, versions)
    return key if key == chunk_key(plan, task.frames, versions) else None

"""Parses and validates a job file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from difflib import get_close_matches
from itertools import islice
from types import MappingProxyType
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from owtmix.base.errors import Problem, SpecError
from owtmix.base.strict_json import JsonError, Loc, read_object, shown
from owtmix.jobfile.assemble import assemble
from owtmix.jobfile.bounds import MAX_JOB_BYTES, MAX_SHOWN, MAX_UPDATE_LINES, MAX_UPDATES
from owtmix.jobfile.ignored_keys import drop_ignored, object_at, without_nulls
from owtmix.jobfile.job_model import JobModel, members
from owtmix.jobfile.models import JobFile
from owtmix.jobfile.overrides import apply_overrides
from owtmix.jobfile.problems import ProblemCollector, raise_problems
from owtmix.jobfile.spec import JobSpec, SpecWarning
from owtmix.jobfile.update_models import Update as UpdateModel
from owtmix.jobfile.updates import RoomUpdates, Update

M = TypeVar("M", bound=JobModel)

_LEAVES: Final = frozenset({type(None), bool, int, str, Decimal})
"""Types of most values, which have no models in them."""
_IN_UPDATES: Final = re.compile(r"Data\.Updates\[([0-9]{1,6})\]\.?")
_LONGEST_MISSPELLING: Final = 64
"""In characters. Longer keys are like none of the format."""

_Tree = dict[str | int, "_Tree | None"]
"""A set of locations as nested dictionaries; the last part of a location maps to None."""


def read_job(text: bytes, overrides: Mapping[str, str] = MappingProxyType({})) -> JobSpec:
    """Parse and validate a job file (docs/job-file.md). ``overrides`` maps paths to values, as ``--set`` takes them.

    Not checked here are the existence of streams, which needs the index, and credentials, which may come from the
    environment.

    Raises:
        SpecError: The file is not valid. It has all problems; neither it nor its context contains a secret of the file.
    """
    try:
        document = read_object(text, max_bytes=MAX_JOB_BYTES)
    except JsonError as error:
        raise SpecError(Problem("", f"the job file is not usable JSON: {error}")) from None
    return check_job(document, apply_overrides(document, overrides))


def check_job(document: dict[str, Any], refused: Sequence[tuple[str, str]] = ()) -> JobSpec:
    """Validate a job that was parsed by ``read_object``; ``refused`` are paths that could not be set, and why.

    Raises:
        SpecError: as ``read_job``.
    """
    written = without_nulls(document)
    document = without_nulls(document)
    other_request = _other_request(document)
    if other_request:
        raise SpecError(other_request)
    drop_ignored(document)
    collector = ProblemCollector(document)
    job_file = _validate(document, collector)
    models = list(_models(job_file, ()))
    _check_required(models, collector)
    misspelled = _check_unknown(models, collector)
    spec = assemble(job_file, collector)
    problems = [Problem(path, f"cannot be set: {why}") for path, why in refused] + collector.problems
    if problems:
        # First the keys that are spelled otherwise: what seems to be missing may be missing because of them.
        unknown = [Problem(w.path, w.message.replace(", ignored", ""), problems[0].code) for w in misspelled]
        raise_problems(unknown + problems)
    assert spec, "a file without problems makes a job"
    if not job_file.data.updates:
        is_given = "updates" in job_file.data.model_fields_set
        return replace(spec, updates=RoomUpdates((), job_file.data, written, is_given=is_given))
    return replace(spec, updates=replace(_updates(written, "Data.Updates[{}].".format), warnings=()))


def with_updates(spec: JobSpec, text: bytes, name: str) -> JobSpec:
    """The job with the updates of the file ``name``: a JSON object in each line.

    Raises:
        SpecError: the file is not valid.
    """
    assert spec.updates
    problems: list[Problem] = []
    entries: dict[int, dict[str, Any]] = {}
    lines = text.split(b"\n")
    if len(lines) > MAX_UPDATE_LINES:
        raise_problems([Problem("", f"{name} has more than {MAX_UPDATE_LINES:,} lines")])
    for number, line in enumerate(lines, 1):
        if len(entries) > MAX_UPDATES or len(problems) > MAX_SHOWN:
            break  # what is wrong is known
        if line.strip():
            try:
                entries[number] = without_nulls(read_object(line, max_bytes=MAX_JOB_BYTES))
            except JsonError as error:
                problems.append(Problem("", f"{name}, line {number}: not usable JSON: {error}"))
    if len(entries) > MAX_UPDATES:
        problems.append(Problem("", f"{name} has more than {MAX_UPDATES:,} updates"))
    raise_problems(problems)
    places = list(entries)
    data = {**spec.updates.document["Data"], "Updates": list(entries.values())}
    written = {**spec.updates.document, "Data": data}
    return replace(spec, updates=_updates(written, lambda i: f"{name}, line {places[i]}: "))


def _updates(written: dict[str, Any], place: Callable[[int], str]) -> RoomUpdates:
    """The updates of a job. ``place(i)`` begins the paths of problems of entry ``i``.

    Raises:
        SpecError: one of them is wrong.
    """
    collector = ProblemCollector(written)
    file = _validate(written, collector)
    models = [found for i, update in enumerate(file.data.updates) for found in _models(update, ("Data", "Updates", i))]
    _check_required(models, collector)
    _check_unknown(models, collector)
    raise_problems([replace(problem, path=_placed(problem.path, place)) for problem in collector.problems])
    documents = written.get("Data", {}).get("Updates", [])
    return RoomUpdates(
        tuple(
            Update(place(i), model.at, model.action, model.data, document)
            for i, (model, document) in enumerate(zip(file.data.updates, documents, strict=True))
            if model.at is not None and model.data is not None
        ),
        file.data,
        written,
        tuple(replace(warning, path=_placed(warning.path, place)) for warning in collector.warnings),
    )


def _placed(path: str, place: Callable[[int], str]) -> str:
    found = _IN_UPDATES.match(path)
    return (place(int(found[1])) + path[found.end() :]).rstrip(".: ") if found else path


def _other_request(document: dict[str, Any]) -> Problem | None:
    """The problem with a message of the API other than job.start; problems of its other keys would be noise."""
    action = document.get("Action")
    from_service = "Ack" in document or "EventType" in document
    if (isinstance(action, str) and action != "job.start") or (action is None and from_service):
        collector = ProblemCollector(document)
        collector.wrong_value(("Action",), hint="; this is a message of the service" * (action is None))
        return collector.problems[0]
    return None


def _validate(document: dict[str, Any], collector: ProblemCollector) -> JobFile:
    """Report values that are wrong independently of others. Returns the models without those values.

    Where there are more than can be shown, further updates are left out of the models, too.
    """
    updates = object_at(document, "Data").get("Updates")
    updates = updates if isinstance(updates, list) else []
    model, wrong = _validated(JobFile, _replace_updates(document, []) if updates else document, ())
    if model and not updates:
        return model
    if len(updates) > MAX_UPDATES:
        wrong.append(("Data", "Updates"))
        updates = []
    for checked, update in enumerate(updates, 1):
        wrong += _validated(UpdateModel, update, ("Data", "Updates", checked - 1))[1]
        if len(wrong) > MAX_SHOWN:
            document = _replace_updates(document, updates[:checked])
            break
    for loc in wrong:
        collector.wrong_value(loc)
    return JobFile.model_validate(_without(document, _tree(wrong)))


def _replace_updates(document: dict[str, Any], updates: list[Any]) -> dict[str, Any]:
    return {**document, "Data": {**document["Data"], "Updates": updates}}


def _validated(model: type[M], document: object, loc: Loc) -> tuple[M | None, list[Loc]]:
    """The model of ``document``, which is at ``loc``, or where its values are wrong."""
    try:
        return model.model_validate(document), []
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        return None, [(*loc, *details["loc"]) for details in found]


def _tree(locs: Iterable[Loc]) -> _Tree:
    """Build a tree of ``locs``, so that all values are removed in one pass.

    For an entry of a list the whole list is removed: other entries must keep their positions.
    """
    root: _Tree = {}
    for loc in locs:
        length = len(loc)
        while isinstance(loc[length - 1], int):
            length -= 1
        branch: _Tree | None = root
        for part in loc[: length - 1]:
            branch = None if branch is None else branch.setdefault(part, {})
        if branch is not None:
            branch[loc[length - 1]] = None
    return root


def _without(node: Any, wrong: _Tree) -> Any:
    """Copy ``node`` without the locations in ``wrong``."""
    if isinstance(node, list):
        return [_without(child, branch) if (branch := wrong.get(i)) else child for i, child in enumerate(node)]
    if not isinstance(node, dict):
        return node
    if 0 in wrong:  # a single WaterMark is treated as a list of one
        return _without(node, wrong[0] or {})
    return {
        key: _without(child, branch) if (branch := wrong.get(key)) else child
        for key, child in node.items()
        if wrong.get(key, {}) is not None
    }


def _models(value: object, loc: Loc) -> Iterator[tuple[Loc, JobModel]]:
    """All models of the file with their locations, depth first."""
    if isinstance(value, JobModel):
        yield loc, value
        for name, alias, *_ in members(type(value)):
            if type(child := getattr(value, name)) not in _LEAVES:
                yield from _models(child, (*loc, alias))
    elif isinstance(value, list):
        for i, entry in enumerate(value):
            yield from _models(entry, (*loc, i))


def _check_required(models: Iterable[tuple[Loc, JobModel]], collector: ProblemCollector) -> None:
    """Report missing required keys as problems."""
    for loc, model in models:
        for name, alias, _, is_required in members(type(model)):
            if is_required and getattr(model, name) in (None, "") and collector.is_clean(place := (*loc, alias)):
                meant = _alike(alias, _unknown(model))
                collector.wrong_value(place, hint="".join(f"; perhaps {shown(key)} is meant for it" for key in meant))


def _check_unknown(models: Iterable[tuple[Loc, JobModel]], collector: ProblemCollector) -> list[SpecWarning]:
    """Report the first ``MAX_SHOWN`` unknown keys as warnings; returns those that name a known key."""
    misspelled = []
    count = 0
    for loc, model in models:
        known = [member.alias for member in members(type(model))]
        for key in islice(_unknown(model), max(0, MAX_SHOWN - count)):
            meant = "".join(f"; perhaps {alias} is meant" for alias in _alike(key, known))
            collector.warn((*loc, key), f"unknown key, ignored{meant}")
            misspelled += collector.warnings[-1:] if meant else []
        count += len(model.model_extra or {})
    if count > MAX_SHOWN:
        collector.warn((), f"{count - MAX_SHOWN:,} more unknown keys, ignored")
    return misspelled


def _unknown(model: JobModel) -> list[str]:
    """The first ``MAX_SHOWN`` keys of an object that the format does not have."""
    return list(islice(model.model_extra or {}, MAX_SHOWN))


def _alike(key: str, others: Iterable[str]) -> list[str]:
    """The one of ``others`` that is spelled most like ``key``, capitals aside; none if none is."""
    if len(key) > _LONGEST_MISSPELLING:
        return []
    by_letters = {other.lower(): other for other in others if len(other) <= _LONGEST_MISSPELLING}
    return [by_letters[found] for found in get_close_matches(key.lower(), by_letters, n=1)]

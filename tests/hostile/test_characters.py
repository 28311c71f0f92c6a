"""1 MiB of every kind of character takes no parser more than two seconds (docs/job-file.md, "Bounds")."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from time import process_time
from types import UnionType
from typing import Any, Final, ParamSpec, Union, get_args, get_origin

import httpx
import pytest
from pydantic import BaseModel

from owtmix.base.errors import MixError
from owtmix.base.ids import StreamId
from owtmix.base.strict_json import Loc, printable
from owtmix.compositor.text.missing_glyphs import missing_glyphs
from owtmix.compositor.text.render import is_cut
from owtmix.jobfile.bounds import MAX_INDEX_BYTES, MAX_JOB_BYTES, MAX_NAME, MAX_SETTINGS_BYTES, MAX_TEXT, MAX_URL
from owtmix.jobfile.index_reader import read_index
from owtmix.jobfile.job_id import job_id_in
from owtmix.jobfile.models import JobFile
from owtmix.jobfile.object_key import forms, normal_key, output_pattern, substituted_key
from owtmix.jobfile.reader import read_job
from owtmix.jobfile.settings_file import read_settings
from owtmix.jobfile.spec import StorageSpec, url_secrets
from owtmix.jobfile.types import is_http_url
from owtmix.notify.outbox import Outbox
from owtmix.plan.exact_json import fraction_from_text
from owtmix.plan.media_info import Probe
from owtmix.produce.chunk_cache import ChunkCache
from owtmix.storage.s3.options import S3Options
from owtmix.storage.s3.store import S3Store
from owtmix.workers.protocol import ProtocolError, ReplyParser
from tests.jobfile.test_job_file import SMALLEST
from tests.support.characters import KINDS, MIB, filled
from tests.workers.tasks import Echo

P = ParamSpec("P")

LIMIT_S: Final = 2.0
LONGEST_SAID: Final = 100_000
"""In characters, of what is said about a document."""
SPARE: Final = 2048
"""Bytes of a document around the text."""

ENTRY: Final = {"StreamId": "anna_1", "Name": "a.mp4", "StartTime": 1, "EndTime": 2}
INDEX: Final = {"JobId": "room", "RoomId": "7", "StartTime": 1, "Root": "dir", "Files": [ENTRY]}


def httpx_url(url: str) -> None:
    """Read an address as those of receivers and images are read."""
    with suppress(httpx.InvalidURL, UnicodeError):
        httpx.URL(url)


class ProbeResult(Echo):
    result = Probe


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def within_limit(what: object, parse: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Whatever ``parse`` says, it says it in time, and in few words."""
    said = ""
    started = process_time()
    try:
        parse(*args, **kwargs)
    except (MixError, ValueError, ProtocolError) as error:
        said = str(error)
    assert process_time() - started < LIMIT_S, what
    assert len(said) < LONGEST_SAID, what


def literal(text: str, size: int) -> str:
    """``text`` as a JSON literal of up to ``size`` bytes; an escape in it becomes what it stands for."""
    if text.startswith("\\u"):
        return f'"{text[: size // 6 * 6]}"'
    made = json.dumps(text, ensure_ascii=False)
    length = len(made.encode())
    return made if length <= size else json.dumps(text[: len(text) * size // length], ensure_ascii=False)


def with_literal(document: object, text: str, size: int) -> bytes:
    """The JSON of ``document``, in which ``"@"`` is replaced by ``text``: to ``size`` bytes in all."""
    return json.dumps(document).replace('"@"', literal(text, size - SPARE)).encode()


def keys_of(model: type[BaseModel], loc: Loc = ()) -> Iterator[tuple[Loc, type[BaseModel]]]:
    """Every key of the job file with the object that has it; an entry of a list is number 0."""
    for field in model.model_fields.values():
        assert field.alias
        place = (*loc, field.alias)
        yield place, model
        yield from _below(field.annotation, place)


def _below(kind: Any, place: Loc) -> Iterator[tuple[Loc, type[BaseModel]]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from keys_of(kind, place)
    elif get_origin(kind) is list:
        yield from _below(get_args(kind)[0], (*place, 0))
    elif get_origin(kind) in {Union, UnionType}:
        for member in get_args(kind):
            yield from _below(member, place)
    elif hasattr(kind, "__metadata__"):
        yield from _below(get_args(kind)[0], place)


def job_with(loc: Loc, value: object) -> dict[str, Any]:
    """A job file with a value at ``loc``, in which the section of ``loc`` is read."""
    document: dict[str, Any] = json.loads(json.dumps(SMALLEST))
    if {"LayoutConfig", "Layouts"}.intersection(loc):
        document["Data"]["MixerConfig"] = {"MixedVideoLayout": 0}
    document["Data"]["SubscribeConfig"] = {"VideoStreamType": int("PositionConfig" in loc)}
    node: Any = document
    for part, following in zip(loc, [*loc[1:], None], strict=True):
        if following is None:
            break
        if isinstance(part, int):
            if not node:
                node.append([] if isinstance(following, int) else {})
            node = node[part]
        else:
            node = node.setdefault(part, [] if isinstance(following, int) else {})
    if isinstance(loc[-1], int):
        node.append(value)
    else:
        node[loc[-1]] = value
        if "WaterMark" in loc:
            node.setdefault("Type", {"Image": 2, "Text": 3}.get(loc[-1], 1))
    return document


KEYS: Final = [loc for loc, _ in keys_of(JobFile)]
TYPES: Final[tuple[Loc, ...]] = (
    ("Internal", "JobId"),
    ("Internal", "RoomId"),
    ("Data", "JobConfig", "IdleTime"),
    ("Data", "JobConfig", "KeyStream"),
    ("Data", "TranscodingConfig", "Video", "Width"),
    ("Data", "TranscodingConfig", "Video", "Profile"),
    ("Data", "MixerConfig", "LayoutConfig", 0, 0, "Area", "Left"),
    ("Data", "MixerConfig", "WaterMark", 0, "Image"),
    ("Data", "SubscribeConfig", "SubscribeAudio", 0),
    ("Data", "RecordingConfig", "StorageConfig", "FileNamePrefix"),
    ("Data", "RecordingConfig", "StorageConfig", "SecretKey"),
    ("Data", "NotifyConfig", 0, "NotifyUrl"),
    ("Data", "LiveConfig"),
)
"""A key of each type of value."""


def test_the_keys_of_the_job_file_are_found() -> None:
    assert ("Data", "MixerConfig", "LayoutConfig", 0, 0, "Area", "Left") in KEYS
    assert ("Data", "InputConfig", "StorageConfig", "Endpoint") in KEYS
    assert len(KEYS) > 90
    read_job(json.dumps(job_with(("Data", "MixerConfig", "WaterMark", 0, "Text"), "x")).encode())


def test_a_whole_document(kind: str) -> None:
    text = filled(kind)
    for opening in ("", '{"Data": ', '{"Data": "'):
        data = (opening + text).encode()[:MAX_JOB_BYTES]
        within_limit(("job", opening), read_job, data)
        within_limit(("job id", opening), job_id_in, data)
        within_limit(("index", opening), read_index, data)


def feed_job_keys(kind: str, size: int, keys: Iterable[Loc]) -> None:
    """Read job files with a text of one kind as the value of each of ``keys``, and as a key beside it."""
    text = filled(kind)
    for loc in keys:
        for place, value in ((loc, "@"), ((*loc[:-1], "@"), 1)):
            within_limit(place, read_job, with_literal(job_with(place, value), text, size))


def test_every_key_of_a_job_file(kind: str) -> None:
    """The square of 64 KiB takes longer than the limit, too; tests/attack feeds them 1 MiB."""
    feed_job_keys(kind, MIB // 16, KEYS)


def test_every_type_of_value_in_a_job_file(kind: str) -> None:
    feed_job_keys(kind, MAX_JOB_BYTES, TYPES)


def test_every_value_of_an_index(kind: str) -> None:
    text = filled(kind)
    for key in INDEX:
        data = with_literal(INDEX | {key: "@"}, text, MAX_INDEX_BYTES)
        within_limit(key, read_index, data)
    for key in ENTRY:
        data = with_literal(INDEX | {"Files": [ENTRY, ENTRY | {key: "@"}]}, text, MAX_INDEX_BYTES)
        within_limit(key, read_index, data)


def test_a_document_of_texts_as_long_as_they_may_be(kind: str) -> None:
    """What is read further, since no bound refuses it."""
    user = json.loads(literal(filled(kind, MAX_NAME - 10), MAX_NAME)) if not KINDS[kind].startswith("\\u") else "x"
    count = MIB // (2 * len(json.dumps(user).encode()) + 100)
    entries = [{"StreamId": f"{user}{i}_1", "Name": f"{i}{user}", "StartTime": i} for i in range(count)]
    within_limit("entries", read_index, json.dumps({"Files": entries}).encode())
    ids = job_with(("Data", "SubscribeConfig", "SubscribeAudio"), [f"{user}{i}_1" for i in range(count)])
    within_limit("stream ids", read_job, json.dumps(ids).encode())
    unknown = job_with(("Data", "MixerConfig"), {f"{user[:40]}{i}": i for i in range(count)})
    within_limit("unknown keys", read_job, json.dumps(unknown).encode())


def test_settings(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "owt.toml"
    for size in (MIB, MAX_SETTINGS_BYTES - 100):
        text = filled(kind, size)
        for line in (text, f"[{text}]", f"[video]\n{text} = 1", f"[video]\nchunk_s = {text}", f'[text]\nx = "{text}"'):
            path.write_text(line, encoding="utf-8")
            within_limit(line[:30], read_settings, path, {})


def test_overrides(kind: str) -> None:
    text = filled(kind)
    data = json.dumps(SMALLEST).encode()
    for override in ({text: "1"}, {f"Data.{text}": "1"}, {"Internal.RoomId": text}, {"Data": text}):
        within_limit(next(iter(override))[:30], read_job, data, override)


def test_names_and_addresses(kind: str) -> None:
    text = filled(kind)
    names = {"job_id": "j" * 128, "room_id": "r" * MAX_NAME, "app_id": "a" * MAX_NAME}
    url = f"http://{text}"[:MAX_URL]
    parsers: dict[str, Callable[[], object]] = {
        "stream": lambda: StreamId.parse(f"{text}_1"),
        "key": lambda: normal_key(text),
        "forms": lambda: forms(normal_key(text[:500])),
        "prefix": lambda: output_pattern(text, ("mp4",)),
        "variables": lambda: substituted_key(text[:1024], **names),
        "address": lambda: is_http_url(url),
        "secrets": lambda: url_secrets(f"http://{text}"),
        "receiver": lambda: httpx_url(url),
        "shown": lambda: printable(text, 80),
        "endpoint": lambda: S3Store(
            StorageSpec("s3", "room", None, url[:MAX_NAME], "key", "secret"), S3Options(), "Data"
        ),
        "glyphs": lambda: missing_glyphs(text[:MAX_TEXT]),
        "width": lambda: is_cut(text[:MAX_TEXT], 45, 8192),
    }
    for name, parse in parsers.items():
        within_limit(name, parse)


def test_replies_of_workers(kind: str) -> None:
    text = filled(kind)
    lines = [json.dumps([word, text]) for word in ("begun", "progress", "warning", "result", "failure", "?")]
    lines += [json.dumps(["error", ["InputError", text]]), text, f'["result", {text}', f'["progress", {text}]']
    lines += [f'["result", ["1{text}"]]', f'["result", [1{text}]]']
    for line in lines:
        for task in (Echo(), ProbeResult()):
            within_limit(line[:40], ReplyParser().feed, line.encode() + b"\n", task)


def test_lines_of_outbox_and_manifest(kind: str, tmp_path: Path) -> None:
    text = filled(kind)
    run = tmp_path / "outbox" / "job" / "000001-0"
    chunks = tmp_path / "chunks"
    run.mkdir(parents=True)
    chunks.mkdir()
    message = ["msg_1", "event", False, "http://h/", text]
    for line in (text, json.dumps({"closes": True, "messages": [message]}), f'{{"closes": true, "messages": {text}'):
        (run / "000001.json").write_text(line)
        (run / "settled").write_text(text)
        within_limit(line[:30], Outbox, tmp_path / "outbox", "job")
    loss = {"lost": "v", "from": text, "sound": True, "why": text}
    for line in (text, json.dumps(loss), json.dumps({"track": text, "digest": text, "result": 1, "warnings": [text]})):
        (chunks / "manifest.jsonl").write_text(line)
        with suppress(OSError):
            within_limit(line[:30], ChunkCache, chunks)
    within_limit("fraction", fraction_from_text, text)


@pytest.mark.attack
@pytest.mark.parametrize("status", [206, 404])
def test_answers_of_a_store(kind: str, status: int, tmp_path: Path) -> None:
    text = filled(kind)
    bodies = [body.encode() for body in (text, f"<Error><Code>{text}</Code></Error>")]
    header = "".join(c for c in filled(kind, 60_000) if " " <= c <= "~")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name in ("ETag", "Last-Modified", "x-amz-request-id"):
                self.send_header(name, header)
            self.send_header("Content-Range", f"bytes {header}")
            self.end_headers()
            self.wfile.write(bodies[0])

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        spec = StorageSpec("s3", "room", None, f"http://127.0.0.1:{server.server_port}", "key", "secret")
        store = S3Store(spec, S3Options(attempts=1), "Data")
        while bodies:
            within_limit(status, store.read, "a", MIB)
            within_limit(status, store.stage, "a.mp4", "job", tmp_path)
            within_limit(status, store.locate, "a", tmp_path)
            bodies.pop(0)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

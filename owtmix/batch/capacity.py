"""How many jobs a card carries: a model of what each of its resources gives, in seconds of output a second.

Engines are facts of the cards. The rates that engines and cores reach are assumptions, since no card was at hand;
``calibrated`` corrects them by one job that ran alone on the card.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Final, TypeGuard

from owtmix.workers.card_models import CONSUMER_SESSIONS, CardModel

_PIXELS_1080P: Final = 1920 * 1080
_PIXELS_720P: Final = 1280 * 720
ENOUGH: Final = 0.9
"""So many jobs run that alone they would add up to this part of what the card gives; one more would only wait."""
USABLE_MEMORY: Final = 0.9
"""The rest of a card's memory is the driver's, and that of others."""
LEAST_BUSY: Final = 0.02
"""An engine that was less busy than this was not measured: the driver tells whole percents."""
SURFACES: Final = 20
"""Pictures that a decoder keeps: 16 references at most, and those on their way."""
_ENCODER_MIB: Final = 200
_CONTEXT_MIB: Final = 450
_NV12: Final = 1.5


@dataclass(frozen=True, slots=True)
class Room:
    """What a job is to a card: streams that are shown at once, on average, and the output."""

    streams: float = 4
    stream_px: float = _PIXELS_720P
    stream_fps: float = 30
    output_px: int = _PIXELS_720P
    output_fps: float = 15


TYPICAL: Final = Room(streams=9)
"""What a job is taken for of which nothing is known."""
CORES_ALONE: Final = 41.2 / 120
"""Core seconds of the CPU for a second of such a job without a card (docs/performance.md, the scene ``lively9``)."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What one engine and one core do; all of them assumptions until a run was measured.

    Attributes:
        decoded_px_s: pixels of H.264 that one NVDEC decodes in a second.
        encoded_px_s: pixels that one NVENC encodes in a second, with the settings of ``owtmix/plan/encoders.py``.
        feed_core_s: core seconds to demux a second of 720p30 that the card decodes.
        drive_core_s: core seconds for launches, sound and muxing of a second of output.
        encode_core_s: core seconds of x264 for a second of 720p15; for cards without NVENC. 750 frames of 720p took
            2.4 s (docs/performance.md, "x264: quality against time").
        alone: seconds of output in a second of one job that has the card for itself; None: nobody measured it.
    """

    decoded_px_s: float = 650.0 * _PIXELS_1080P
    encoded_px_s: float = 400.0 * _PIXELS_1080P
    feed_core_s: float = 0.010
    drive_core_s: float = 0.020
    encode_core_s: float = 0.048
    alone: float | None = None


ASSUMED: Final = Rates()


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """One job that ran alone on a card.

    Attributes:
        output_s: seconds of its output.
        wall_s: seconds that it took.
        nvdec_busy: what part of that time all NVDEC engines together were busy, 0..1; None: unknown.
        nvenc_busy: the same of the NVENC engines.
        cpu_s: CPU seconds of all its processes; None: unknown.
    """

    output_s: float
    wall_s: float
    nvdec_busy: float | None = None
    nvenc_busy: float | None = None
    cpu_s: float | None = None


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many ``jobs`` at once a card carries, ``speed`` of all in seconds of output a second, ``bound`` by what."""

    jobs: int
    speed: float
    bound: str


def capacity_of(
    model: CardModel,
    memory_mib: int,
    cores: float,
    room: Room = TYPICAL,
    rates: Rates = ASSUMED,
    canvas_mib: int = 1024,
) -> Capacity:
    """How many jobs like ``room`` a card carries: at least one.

    Args:
        model: what the card has.
        memory_mib: its memory.
        cores: the processors for the jobs of this card.
        room: the jobs.
        rates: what engines and cores do.
        canvas_mib: the setting ``gpu.memory_mib``, of each job's worker.
    """
    speeds = {"CPU": max(cores, 1) / cpu_demand(model, room, rates)}
    if room.streams:
        speeds["NVDEC"] = model.nvdec * rates.decoded_px_s / _decoded_px(room)
    if model.nvenc:
        speeds["NVENC"] = model.nvenc * rates.encoded_px_s / _encoded_px(room)
    bound, speed = min(speeds.items(), key=lambda item: item[1])
    alone = speed_alone(model, room, rates)
    jobs = ceil(ENOUGH * speed / min(alone, speed))
    most = {
        "memory": floor(USABLE_MEMORY * memory_mib / memory_mib_of(room, canvas_mib)),
        "cores": floor(cores),
    }
    if model.nvenc and model.limited:
        most["sessions"] = CONSUMER_SESSIONS
    limit, limited = min(most.items(), key=lambda item: item[1])
    if limited < jobs:
        jobs, bound = max(1, limited), limit
    return Capacity(jobs, min(speed, jobs * alone), bound)


def cpu_demand(model: CardModel, room: Room, rates: Rates) -> float:
    """Core seconds for a second of output of a job on a card."""
    feeding = room.streams * rates.feed_core_s * room.stream_px * room.stream_fps / (_PIXELS_720P * 30)
    encoding = 0.0 if model.nvenc else rates.encode_core_s * _encoded_px(room) / (_PIXELS_720P * 15)
    return feeding + encoding + rates.drive_core_s


def speed_alone(model: CardModel, room: Room, rates: Rates) -> float:
    """Seconds of output in a second of one job, measured or guessed: one worker, one engine of each kind, in turn.

    Where they overlap it is faster than the guess, and more jobs begin than are needed, which does no harm.
    """
    if rates.alone is not None:
        return rates.alone
    encoding_s = _encoded_px(room) / rates.encoded_px_s if model.nvenc else 0.0
    return 1 / (_decoded_px(room) / rates.decoded_px_s + encoding_s + cpu_demand(model, room, rates))


def memory_mib_of(room: Room, canvas_mib: int = 1024) -> float:
    """What one worker takes of a card: context, canvas, surfaces of decoders, encoder."""
    surfaces = room.streams * SURFACES * room.stream_px * _NV12 / 2**20
    return _CONTEXT_MIB + canvas_mib + surfaces + _ENCODER_MIB


def calibrated(rates: Rates, model: CardModel, room: Room, run: MeasuredRun) -> Rates:
    """Rates corrected by a job like ``room`` that ran alone; what was not measured stays.

    Raises:
        ValueError: nothing was made, or it took no time.
    """
    if run.output_s <= 0 or run.wall_s <= 0:
        raise ValueError("a run of no length calibrates nothing")
    found = replace(rates, alone=run.output_s / run.wall_s)
    if room.streams and _is_measured(run.nvdec_busy):
        engine_s = run.wall_s * run.nvdec_busy * model.nvdec
        found = replace(found, decoded_px_s=run.output_s * _decoded_px(room) / engine_s)
    if model.nvenc and _is_measured(run.nvenc_busy):
        engine_s = run.wall_s * run.nvenc_busy * model.nvenc
        found = replace(found, encoded_px_s=run.output_s * _encoded_px(room) / engine_s)
    if run.cpu_s:
        factor = run.cpu_s / run.output_s / cpu_demand(model, room, rates)
        found = replace(
            found,
            feed_core_s=rates.feed_core_s * factor,
            drive_core_s=rates.drive_core_s * factor,
            encode_core_s=rates.encode_core_s if model.nvenc else rates.encode_core_s * factor,
        )
    return found


def _is_measured(busy: float | None) -> TypeGuard[float]:
    return busy is not None and busy >= LEAST_BUSY


def _decoded_px(room: Room) -> float:
    """Pixels that are decoded for a second of output."""
    return room.streams * room.stream_px * room.stream_fps


def _encoded_px(room: Room) -> float:
    return room.output_px * room.output_fps

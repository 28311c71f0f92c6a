"""How many jobs a card carries."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from owtmix.batch.capacity import (
    ASSUMED,
    MeasuredRun,
    Rates,
    Room,
    calibrated,
    capacity_of,
    cpu_demand,
    memory_mib_of,
    speed_alone,
)
from owtmix.workers.card_models import CONSUMER_SESSIONS, MODELS, CardModel, model_of

SMALL = Room(4)
FULL_HD = Room(9, stream_px=1280 * 720, output_px=1920 * 1080, output_fps=30)

rooms = st.builds(
    Room,
    streams=st.integers(0, 64),
    stream_px=st.integers(2**12, 2**23),
    stream_fps=st.sampled_from((5, 15, 30, 60)),
    output_px=st.integers(2**12, 2**23),
    output_fps=st.sampled_from((5, 15, 30, 60)),
)
positive = st.floats(1e-3, 1e3)


@pytest.mark.parametrize(
    ("name", "nvdec", "nvenc", "limited"),
    [
        ("Tesla T4", 2, 1, False),
        ("NVIDIA L4", 4, 2, False),
        ("NVIDIA L40S", 3, 3, False),
        ("NVIDIA A10G", 2, 1, False),
        ("NVIDIA A100-SXM4-40GB", 5, 0, False),
        ("NVIDIA A100 80GB PCIe", 5, 0, False),
        ("NVIDIA H100 80GB HBM3", 7, 0, False),
        ("NVIDIA H100 NVL", 7, 0, False),
        ("NVIDIA H200", 7, 0, False),
        ("NVIDIA RTX A6000", 2, 1, False),
        ("NVIDIA RTX 6000 Ada Generation", 3, 3, False),
        ("NVIDIA GeForce RTX 4090", 1, 2, True),
        ("NVIDIA GeForce RTX 5090", 2, 3, True),
    ],
)
def test_models_are_told_by_the_drivers_names(name: str, nvdec: int, nvenc: int, limited: bool) -> None:
    model = model_of(name)
    assert (model.nvdec, model.nvenc, model.limited, model.known) == (nvdec, nvenc, limited, True)


@pytest.mark.parametrize("name", ["", "NVIDIA Z9000", "Quadro P400", "NVIDIA A1000", "[Not Supported]"])
def test_an_unknown_model_has_the_least_and_says_so(name: str) -> None:
    assert replace(model_of(name), name="") == CardModel("", 1, 1, limited=True, known=False)


@pytest.mark.parametrize(
    ("card", "memory_mib", "cores", "room", "bound"),
    [
        ("T4", 15_360, 64, SMALL, "NVDEC"),
        ("T4", 15_360, 2, SMALL, "cores"),
        ("L4", 23_034, 64, replace(FULL_HD, streams=1), "NVENC"),
        ("H100", 81_559, 4, FULL_HD, "CPU"),
        ("T4", 3_000, 64, SMALL, "memory"),
        ("GeForce RTX 4090", 24_564, 64, Room(1, stream_px=320 * 180, output_px=320 * 180), "sessions"),
    ],
)
def test_what_bounds_a_card_is_named(card: str, memory_mib: int, cores: float, room: Room, bound: str) -> None:
    slow = replace(ASSUMED, alone=5)  # so that engines and not the speed of one job decide
    assert capacity_of(model_of(card), memory_mib, cores, room, slow).bound == bound


@given(st.sampled_from(MODELS), st.integers(1_000, 200_000), st.integers(1, 256), rooms)
def test_a_card_carries_no_more_than_each_of_its_resources(
    model: CardModel, memory_mib: int, cores: int, room: Room
) -> None:
    found = capacity_of(model, memory_mib, cores, room)
    assert 1 <= found.jobs <= cores
    assert found.speed <= cores / cpu_demand(model, room, ASSUMED) * 1.000001
    assert found.jobs == 1 or found.jobs * memory_mib_of(room) <= memory_mib
    if model.limited and model.nvenc:
        assert found.jobs <= CONSUMER_SESSIONS
    if found.bound not in {"memory", "cores", "sessions"} and found.jobs > 1:
        # One job less would leave a tenth of the card unused: no more are begun than are useful.
        assert (found.jobs - 1) * speed_alone(model, room, ASSUMED) < found.speed


@given(st.sampled_from(MODELS), rooms, st.integers(1, 64), st.integers(1, 64))
def test_more_cores_never_carry_fewer_jobs(model: CardModel, room: Room, cores: int, more: int) -> None:
    few = capacity_of(model, 24_000, cores, room)
    many = capacity_of(model, 24_000, cores + more, room)
    assert many.jobs >= few.jobs
    assert many.speed >= few.speed * 0.999999


@given(st.sampled_from(MODELS), rooms, positive, positive, positive, positive)
def test_a_measured_run_gives_the_rates_that_explain_it(
    model: CardModel, room: Room, decoding: float, encoding: float, cpu: float, alone: float
) -> None:
    truth = Rates(
        decoded_px_s=ASSUMED.decoded_px_s * decoding,
        encoded_px_s=ASSUMED.encoded_px_s * encoding,
        feed_core_s=ASSUMED.feed_core_s * cpu,
        drive_core_s=ASSUMED.drive_core_s * cpu,
        encode_core_s=ASSUMED.encode_core_s if model.nvenc else ASSUMED.encode_core_s * cpu,
        alone=alone,
    )
    output_s = 600.0
    wall_s = output_s / alone
    decoded = output_s * room.streams * room.stream_px * room.stream_fps
    encoded = output_s * room.output_px * room.output_fps
    run = MeasuredRun(
        output_s,
        wall_s,
        decoded / truth.decoded_px_s / model.nvdec / wall_s,
        encoded / truth.encoded_px_s / model.nvenc / wall_s if model.nvenc else None,
        output_s * cpu_demand(model, room, truth),
    )
    found = calibrated(ASSUMED, model, room, run)
    assert found.alone == pytest.approx(truth.alone)
    assert cpu_demand(model, room, found) == pytest.approx(cpu_demand(model, room, truth))
    if room.streams and run.nvdec_busy is not None and run.nvdec_busy >= 0.02:
        assert found.decoded_px_s == pytest.approx(truth.decoded_px_s)
    if run.nvenc_busy is not None and run.nvenc_busy >= 0.02:
        assert found.encoded_px_s == pytest.approx(truth.encoded_px_s)


def test_an_engine_more_carries_jobs_more() -> None:
    """One worker keeps one engine busy at most, so a card with seven needs several jobs."""
    jobs = [capacity_of(model_of(name), 80_000, 64).jobs for name in ("Tesla T4", "NVIDIA L4", "NVIDIA H100")]
    assert jobs == sorted(jobs)
    assert jobs[0] >= 2
    assert jobs[-1] > 7


def test_what_was_not_measured_stays() -> None:
    found = calibrated(ASSUMED, model_of("L4"), SMALL, MeasuredRun(60, 6, nvdec_busy=0.01))
    assert found == replace(ASSUMED, alone=10)


@pytest.mark.parametrize("run", [MeasuredRun(0, 1), MeasuredRun(1, 0), MeasuredRun(-1, 1)])
def test_a_run_of_no_length_calibrates_nothing(run: MeasuredRun) -> None:
    with pytest.raises(ValueError, match="no length"):
        calibrated(ASSUMED, model_of("L4"), SMALL, run)

"""Which device composes, and what a job holds of it: no card is needed, locks are files of the test."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from owtmix.base.errors import RenderError, SetupError
from owtmix.compositor.gpu.kernel_cache import Kernel, find_kernel
from owtmix.plan.device import RenderDevice
from owtmix.produce.device_choice import GpuUse, Machine, choose_device
from owtmix.produce.gpu_check import MOST_RESULT_BYTES, GpuCheckTask, GpuInfo, check_gpus
from owtmix.workers.base import Death, DeathKind, Limits, Outcome
from owtmix.workers.card_holds import MOST_SESSIONS, OWN_PARTS, SESSIONS, CardHolds, parts_of
from owtmix.workers.card_list import NO_EXTRA, CardList, ListedCard
from owtmix.workers.card_models import CONSUMER_SESSIONS
from owtmix.workers.local import WorkerPool
from owtmix.workers.places import Places
from owtmix.workers.protocol import ProtocolError, ReplyParser
from tests.produce.fake_gpu import FakeGpu, SilentReporter
from tests.produce.kernel_tasks import KernelTask
from tests.support.card.kernel import compiled
from tests.workers.tasks import TESTS

MEMORY: Final = 64 << 20
USE: Final = GpuUse(MEMORY)
BUSES: Final = ("0000:01:00.0", "0000:02:00.0")
GEFORCE: Final = "NVIDIA GeForce RTX 4090"
CUPY: Final = Machine(lambda: True, list_cards=lambda: CardList(()))
NO_CUPY: Final = Machine(lambda: False, lambda: False)


class AnsweringExecutor:
    """An executor without workers. Tasks end with the same answer, or with what ``do`` makes of them."""

    def __init__(self, do: Callable[[GpuCheckTask], GpuInfo] | None = None, **answer: Any) -> None:
        self._do = do
        self._answer = answer
        self.confinement: tuple[str, ...] = ()
        self.read: set[Path] = set()

    def allow(self, **access: Any) -> None:
        self.read.update(access.get("read", ()))

    def run(self, tasks: Any, *_: Any, **__: Any) -> Any:
        for task in tasks:
            yield Outcome(task, self._do(task)) if self._do else Outcome(task, **self._answer)


def found(executor: AnsweringExecutor, wanted: str) -> RenderDevice:
    return choose_device(executor, wanted, USE, CUPY)


def test_the_cpu_composes_where_it_is_asked_for_or_nothing_else_is_installed() -> None:
    assert choose_device(AnsweringExecutor(), "cpu", USE, NO_CUPY) == RenderDevice("--device cpu")
    assert choose_device(AnsweringExecutor(), "auto", USE, NO_CUPY) == RenderDevice(NO_EXTRA)
    with pytest.raises(SetupError, match="--device cuda: the extra cuda12 or cuda13 of owtmix is not installed"):
        choose_device(AnsweringExecutor(), "cuda", USE, NO_CUPY)


@pytest.mark.parametrize(("has_card", "shown"), [(False, "DEBUG"), (True, "INFO")])
def test_the_missing_extra_is_remarked_on_only_where_there_is_a_card(
    caplog: pytest.LogCaptureFixture, has_card: bool, shown: str
) -> None:
    with caplog.at_level("DEBUG"):
        choose_device(AnsweringExecutor(), "auto", USE, replace(NO_CUPY, has_card=lambda: has_card))
    assert [record.levelname for record in caplog.records if NO_EXTRA in record.message] == [shown]


def test_a_gpu_that_works_is_taken_and_named() -> None:
    device = found(AnsweringExecutor(value=GpuInfo(1, "NVIDIA L4", encodes=True)), "auto")
    assert device == RenderDevice("NVIDIA L4 composes and encodes", 1, has_encoder=True, memory_bytes=MEMORY)
    assert device.name == "cuda:1"
    device = found(AnsweringExecutor(value=GpuInfo(0, "NVIDIA H100", encodes=False)), "cuda")
    assert device == RenderDevice("NVIDIA H100 composes and does not encode H.264", 0, memory_bytes=MEMORY)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"error": RenderError("no driver")}, "no driver"),
        (
            {"death": Death(DeathKind.HUNG, "hangs: no progress for 60 s")},
            "checking it hangs: no progress for 60 s",
        ),
    ],
)
def test_a_gpu_that_does_not_work_is_not_used_and_is_an_error_where_it_was_asked_for(
    answer: dict[str, Any], why: str
) -> None:
    assert found(AnsweringExecutor(**answer), "auto") == RenderDevice(why)
    with pytest.raises(SetupError, match=f"--device cuda:1: {why}; --device cpu or auto composes without a GPU"):
        found(AnsweringExecutor(**answer), "cuda:1")


@pytest.fixture
def locks(tmp_path: Path) -> Callable[[int, str], Places]:
    return lambda count, name: Places(tmp_path / "locks" / name, count)


@pytest.fixture
def holds(locks: Callable[[int, str], Places]) -> Iterator[CardHolds]:
    with CardHolds(locks) as held:
        yield held


def machine(*cards: ListedCard) -> Machine:
    return Machine(lambda: True, list_cards=lambda: CardList(cards))


def card(number: int, name: str, free_mib: int = 20_000) -> ListedCard:
    return ListedCard(f"GPU-{number}", name, 24_000, free_mib, BUSES[number])


def checking(*broken: int, model: str = "NVIDIA L4", encodes: bool = True) -> AnsweringExecutor:
    """Checks two GPUs as a worker does, of which some do not work. CUDA counts them from the second one."""

    def do(task: GpuCheckTask) -> GpuInfo:
        order = [*reversed(BUSES)]
        numbers = [order.index(place) for place in task.preferred] or [0, 1]
        number = next(n for n in numbers if n not in broken) if task.number is None else task.number
        return GpuInfo(number, model, encodes and task.encoding, order[number], Kernel("0" * 64))

    return AnsweringExecutor(do)


def test_the_least_loaded_card_is_taken_whatever_its_number_is(
    holds: CardHolds, locks: Any, caplog: pytest.LogCaptureFixture
) -> None:
    two = machine(card(0, "NVIDIA L4", 1000), card(1, "NVIDIA L4", 15_000))
    with caplog.at_level("INFO"):
        assert choose_device(checking(), "auto", replace(USE, holds=holds), two).gpu == 0
    assert (
        "of 2 cards NVIDIA L4 (GPU-1) is the least loaded: other jobs hold 0 of its 60 parts, and 15000 MiB"
        in caplog.text
    )
    with CardHolds(locks) as other:  # it sees the first one, and takes the card with less memory
        assert choose_device(checking(), "auto", replace(USE, holds=other), two).gpu == 1


def test_parts_of_the_card_that_works_are_held_and_of_no_other(holds: CardHolds, locks: Any) -> None:
    two = machine(card(0, "NVIDIA L4"), card(1, "NVIDIA L4"))
    use = replace(USE, holds=holds)
    assert choose_device(checking(1), "auto", use, two).gpu == 0
    assert [locks(60, parts_of(f"GPU-{n}")).held() for n in range(2)] == [0, OWN_PARTS]
    assert choose_device(AnsweringExecutor(error=RenderError("none works")), "auto", use, two).gpu is None
    assert [locks(60, parts_of(f"GPU-{n}")).held() for n in range(2)] == [0, 0]


def test_a_resumed_job_has_the_card_of_the_earlier_run(holds: CardHolds, locks: Any) -> None:
    """Another one might have another encoder: then all chunks would be made again."""
    two = machine(card(0, "NVIDIA L4", 0), card(1, "NVIDIA L4"))
    with CardHolds(locks) as other:
        other.keep(two.list_cards().cards[0])
        device = choose_device(checking(), "auto", replace(USE, holds=holds, card="GPU-0"), two)
    assert (device.gpu, device.card) == (1, "GPU-0")
    device = choose_device(checking(1), "auto", replace(USE, holds=holds, card="GPU-0"), two)
    assert (device.gpu, device.card) == (0, "GPU-1")  # it works no more


def test_a_gpu_that_is_named_is_taken_whatever_its_load_is(holds: CardHolds, locks: Any) -> None:
    two = machine(card(0, "NVIDIA L4", 0), card(1, "NVIDIA L4"))
    assert choose_device(checking(), "cuda:1", replace(USE, holds=holds), two).gpu == 1
    assert locks(60, parts_of("GPU-0")).held() == OWN_PARTS  # others see that


def test_a_job_that_somebody_else_placed_asks_for_nothing_and_holds_nothing() -> None:
    def asked() -> CardList:
        raise AssertionError("nobody asks the driver")

    assert choose_device(checking(model=GEFORCE), "auto", USE, Machine(lambda: True, list_cards=asked)).sessions == 0


@pytest.mark.parametrize(
    ("model", "encodes", "workers", "sessions"),
    [
        (GEFORCE, True, 1, 1),
        (GEFORCE, True, 3, 3),
        (GEFORCE, True, 16, MOST_SESSIONS),
        (GEFORCE, False, 16, 0),
        ("NVIDIA L4", True, 16, 0),  # as many as are wanted
        ("NVIDIA H100", True, 16, 0),
    ],
)
def test_each_worker_has_a_session_where_they_are_few(
    holds: CardHolds, locks: Any, model: str, encodes: bool, workers: int, sessions: int
) -> None:
    use = replace(USE, holds=holds, workers=workers, encodes=encodes)
    device = choose_device(checking(model=model), "cuda", use, machine(card(0, GEFORCE), card(1, model)))
    assert device.sessions == sessions
    assert device.has_encoder == encodes  # what is not needed is not tried, which would take a session
    assert locks(CONSUMER_SESSIONS, SESSIONS).held() == sessions


def test_the_choice_of_the_encoder_does_not_depend_on_load(locks: Any, caplog: pytest.LogCaptureFixture) -> None:
    """All sessions are held. The job waits until one is free, before it tries the encoder."""
    others = [CardHolds(locks) for _ in range(CONSUMER_SESSIONS)]
    for other in others:
        other.wait_for_session()

    def end_one(_seconds: float) -> None:
        others.pop().let_go()

    def check(_task: GpuCheckTask) -> GpuInfo:
        assert len(others) == CONSUMER_SESSIONS - 1
        return GpuInfo(0, GEFORCE, encodes=True, bus=BUSES[0])

    with CardHolds(locks, end_one) as late:
        use = replace(USE, holds=late, workers=4)
        device = choose_device(AnsweringExecutor(check), "auto", use, machine(card(0, GEFORCE)))
        assert (device.has_encoder, device.sessions) == (True, 1)  # others have the rest
    assert "waits for a session of the card's encoder: other jobs hold all 8" in caplog.text
    for other in others:
        other.let_go()


def test_a_card_whose_sessions_are_not_limited_waits_for_none(locks: Any) -> None:
    """Others beside it have none left. Where it does not work, one of theirs is held before that encoder counts."""
    mixed = machine(card(0, GEFORCE, 1000), card(1, "NVIDIA L4"))
    others = [CardHolds(locks) for _ in range(CONSUMER_SESSIONS)]
    for other in others:
        other.wait_for_session()
    answers = [GpuInfo(0, "NVIDIA L4", encodes=True, bus=BUSES[1])]
    with CardHolds(locks, lambda _seconds: pytest.fail("it waits")) as holds:
        executor = AnsweringExecutor(lambda _task: answers.pop(0))
        assert choose_device(executor, "auto", replace(USE, holds=holds), mixed).has_encoder
    answers = [GpuInfo(1, GEFORCE, encodes=works, bus=BUSES[0]) for works in (False, True)]
    with CardHolds(locks, lambda _seconds: others.pop().let_go()) as holds:
        device = choose_device(executor, "auto", replace(USE, holds=holds), mixed)
        assert (device.has_encoder, device.sessions, device.card) == (True, 1, "GPU-0")
    for other in others:
        other.let_go()


def test_an_encoder_that_others_have_taken_is_told(holds: CardHolds, caplog: pytest.LogCaptureFixture) -> None:
    choose_device(checking(encodes=False), "auto", replace(USE, holds=holds), machine(card(0, "NVIDIA L4")))
    assert "the encoder of NVIDIA L4 takes no frames: x264 encodes" in caplog.text


def test_the_kernel_that_the_check_compiled_is_kept_where_workers_read(tmp_path: Path) -> None:
    kernels = tmp_path / "kernels"
    info = GpuInfo(0, "NVIDIA L4", True, kernel=Kernel("a" * 64, base64.b64encode(b"code").decode()))
    executor = AnsweringExecutor(value=info)
    device = choose_device(executor, "auto", replace(USE, kernels=kernels), CUPY)
    assert find_kernel(kernels, "a" * 64) == b"code"
    assert device.kernels == kernels
    assert executor.read == {kernels}
    (tmp_path / "file").write_text("")
    executor = AnsweringExecutor(value=info)
    assert choose_device(executor, "auto", replace(USE, kernels=tmp_path / "file"), CUPY).gpu == 0
    assert not executor.read


def test_workers_load_kernels_and_cannot_change_them(tmp_path: Path) -> None:
    """Else one that a recording has taken over would decide what others run."""
    kernels = tmp_path / "kernels"
    info = GpuInfo(0, "NVIDIA L4", encodes=True, kernel=Kernel("a" * 64, base64.b64encode(b"code").decode()))
    answering = AnsweringExecutor(value=info)
    choose_device(answering, "auto", replace(USE, kernels=kernels), CUPY)
    with WorkerPool(1, Limits(1 << 30, 60), print, TESTS) as pool:
        if "landlock" not in pool.confinement:
            pytest.skip("no Landlock")
        (outcome,) = pool.run([KernelTask(kernels, "a" * 64)])
        assert outcome.value == (0, [])
        pool.allow(read=answering.read)
        (outcome,) = pool.run([KernelTask(kernels, "a" * 64)])
        assert outcome.value == (4, [])


def no_encoder(_device: object, _number: int) -> bool:
    return False


def test_gpus_are_tried_in_the_order_that_is_preferred() -> None:
    compiled()
    opened = []

    def open_gpu(number: int) -> FakeGpu:
        opened.append(number)
        return FakeGpu("full" if number == 2 else "works")

    buses = [f"00000000:0{n}:00.0" for n in range(4)]
    preferred = ("0000:02:00.0", "0000:03:00.0", "0000:00:00.0")
    assert check_gpus(None, lambda: buses, open_gpu, SilentReporter(), preferred, no_encoder).bus == "0000:03:00.0"
    assert opened == [2, 3]


def test_what_a_worker_says_that_it_compiled_is_checked() -> None:
    def said(code: str, name: str = "a" * 64) -> Any:
        kernel = f'{{"name": "{name}", "code": "{code}"}}'
        line = f'["result", {{"number": 0, "model": "L4", "encodes": true, "bus": "", "kernel": {kernel}}}]\n'
        return ReplyParser().feed(line.encode(), GpuCheckTask(None))[1]

    code = base64.b64encode(bytes(400_000)).decode()
    assert said(code).value.kernel == Kernel("a" * 64, code)
    too_long = base64.b64encode(bytes(600_000)).decode()
    for wrong in (("!",), ("", "../../x"), (too_long,), ("A" * MOST_RESULT_BYTES,)):
        with pytest.raises(ProtocolError):
            said(*wrong)

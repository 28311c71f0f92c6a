"""What follows from each way in which a task can end. No process is started here."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Final

import pytest

from owtmix.base.errors import DestinationError, EncoderLost, InputError, MixError, RenderError, ShortageError
from owtmix.plan.device import CPU, RenderDevice
from owtmix.produce.failures import (
    Culprit,
    DecodeStop,
    Ending,
    Fail,
    FailureState,
    GiveUpGpu,
    GiveUpGpuEncoder,
    Greedy,
    LeaveOut,
    Retry,
    RetryWithLess,
    TrySuspects,
    decide,
)
from owtmix.workers.alone import LONGEST_PAUSE_S, SHORTAGES, pause_after
from owtmix.workers.base import Death, DeathKind

GPU: Final = RenderDevice("a GPU", 0, has_encoder=True)
CRASH: Final = Death(DeathKind.CRASHED, "crashes (SIGSEGV)")
KILL: Final = Death(DeathKind.KILLED, "is killed from outside (SIGKILL)")
MEMORY: Final = Death(DeathKind.MEMORY, "takes more than 4096 MiB of memory")
HANG: Final = Death(DeathKind.HUNG, "hangs: no progress for 60 s")
LOST: Final = EncoderLost("the encoder of cuda:0 is gone")
PICTURE: Final = Ending("the picture at 00:00:00.000", "picture")
SOUND: Final = Ending("the sound", "sound")
FILE: Final = Ending("the mp4 file", "file")
ON_GPU: Final = FailureState(GPU, on_gpu_encoder=True)
ON_CPU: Final = FailureState()


def ending(of: Ending, **changes: object) -> Ending:
    return replace(of, **changes)  # type: ignore[arg-type]


def death(of: Ending, how: Death = CRASH, **changes: object) -> Ending:
    return ending(of, death=how, **changes)


@pytest.mark.parametrize("of", [PICTURE, SOUND, FILE], ids=lambda of: of.track)
def test_a_success_needs_no_decision(of: Ending) -> None:
    assert decide(of, ON_CPU) == ()


@pytest.mark.parametrize("of", [PICTURE, SOUND, FILE], ids=lambda of: of.track)
@pytest.mark.parametrize("error", [InputError("no"), RenderError("no"), DestinationError("no"), LOST])
def test_an_error_that_a_new_worker_reports_again_fails_the_job(of: Ending, error: MixError) -> None:
    """Also a lost encoder, where the CPU encodes: there is no other."""
    (decision,) = decide(ending(of, error=error), ON_CPU)
    assert decision == Retry(of.name, f"{of.name} is made once more, by a new process: {error}")
    assert decide(ending(of, error=error), replace(ON_CPU, restarted=frozenset([of.name]))) == (Fail(error),)


def test_a_gpu_encoder_that_is_lost_is_given_up() -> None:
    lost = ending(PICTURE, device=GPU, on_gpu_encoder=True, error=LOST)
    (decision,) = decide(lost, ON_GPU)
    assert decision == GiveUpGpuEncoder(f"{LOST}: the whole picture is encoded again, with x264")


def test_other_chunks_that_fail_with_a_lost_encoder_need_no_second_decision() -> None:
    assert decide(ending(PICTURE, device=GPU, on_gpu_encoder=True, error=LOST), FailureState(GPU)) == ()


@pytest.mark.parametrize("how", [CRASH, HANG], ids=lambda how: how.kind.value)
def test_a_death_on_a_gpu_is_blamed_on_the_gpu_before_any_recording(how: Death) -> None:
    (decision,) = decide(death(PICTURE, how, device=GPU, on_gpu_encoder=True), ON_GPU)
    assert isinstance(decision, GiveUpGpu)
    assert decision.device.gpu is None
    assert not decision.device.has_encoder
    assert decision.device.why == f"the process that composed on cuda:0 {how}"
    assert decision.warning.endswith("what is missing of the picture is composed on the CPU")


def test_deaths_on_a_gpu_that_was_given_up_meanwhile_need_no_second_decision() -> None:
    given_up = FailureState(CPU, on_gpu_encoder=True)
    assert decide(death(PICTURE, device=GPU, on_gpu_encoder=True), given_up) == ()


def test_a_death_while_mixing_is_not_blamed_on_the_gpu() -> None:
    assert decide(death(SOUND, device=GPU, on_gpu_encoder=True), ON_GPU) == (TrySuspects(),)


@pytest.mark.parametrize("of", [PICTURE, SOUND], ids=lambda of: of.track)
@pytest.mark.parametrize("how", [CRASH, HANG], ids=lambda how: how.kind.value)
def test_after_a_death_on_the_cpu_the_sources_are_tried(of: Ending, how: Death) -> None:
    assert decide(death(of, how), ON_CPU) == (TrySuspects(),)


def test_culprits_are_left_out_from_the_time_of_the_crash() -> None:
    culprits = (Culprit(3, "c.webm", Fraction(5, 2), CRASH), Culprit(1, "a.webm", Fraction(1), HANG))
    assert decide(death(PICTURE, culprits=culprits), ON_CPU) == (
        LeaveOut(
            3,
            Fraction(5, 2),
            sound=False,
            message="decoding c.webm crashes (SIGSEGV) at 00:00:02.500: a placeholder from there on",
            proven=True,
        ),
        LeaveOut(
            1,
            Fraction(1),
            sound=False,
            message="decoding a.webm hangs: no progress for 60 s at 00:00:01.000: a placeholder from there on",
            proven=True,
        ),
    )
    (decision,) = decide(death(SOUND, culprits=culprits[:1]), ON_CPU)
    assert isinstance(decision, LeaveOut)
    assert decision.sound
    assert decision.message.endswith("at 00:00:02.500: silence from there on")


def test_culprits_are_left_out_before_the_gpu_encoder_is_suspected() -> None:
    culprits = (Culprit(0, "a.webm", Fraction(0), CRASH),)
    (decision,) = decide(death(PICTURE, on_gpu_encoder=True, culprits=culprits), FailureState(CPU, on_gpu_encoder=True))
    assert isinstance(decision, LeaveOut)


def test_without_a_culprit_the_gpu_encoder_is_given_up() -> None:
    state = FailureState(CPU, on_gpu_encoder=True)
    (decision,) = decide(death(PICTURE, HANG, on_gpu_encoder=True, culprits=()), state)
    assert decision == GiveUpGpuEncoder(
        f"the process that encoded on the GPU {HANG}: the whole picture is encoded again, with x264"
    )
    assert decide(death(PICTURE, HANG, on_gpu_encoder=True, culprits=()), ON_CPU) == (), "it was given up meanwhile"


@pytest.mark.parametrize("of", [PICTURE, SOUND, FILE], ids=lambda of: of.track)
def test_without_a_culprit_a_task_is_repeated_once(of: Ending) -> None:
    dead = death(of, culprits=None if of is FILE else ())
    (decision,) = decide(dead, ON_CPU)
    assert isinstance(decision, Retry)
    assert decision.name == of.name
    assert decision.warning.startswith(f"the process that makes {of.name} crashes (SIGSEGV); no recording is to blame")
    again = FailureState(restarted=frozenset({decision.name}))
    (decision,) = decide(dead, again)
    assert isinstance(decision, Fail)
    assert isinstance(decision.error, RenderError)
    words = f"{of.name} cannot be made: its process crashes (SIGSEGV), and no recording is to blame"
    assert str(decision.error) == words
    (other,) = decide(ending(dead, name="another task"), again)
    assert isinstance(other, Retry), "each has its own second try"


def test_the_finished_file_is_written_again_without_trying_any_source() -> None:
    assert isinstance(decide(death(FILE), ON_CPU)[0], Retry)


def test_pictures_that_cannot_be_decoded_are_placeholders_from_there_on() -> None:
    stops = (DecodeStop(2, "b.mp4", Fraction(6, 5), "no more keyframes"), DecodeStop(0, "a.mp4", Fraction(0), "empty"))
    assert decide(ending(PICTURE, stops=stops), ON_CPU) == (
        LeaveOut(
            2,
            Fraction(6, 5),
            sound=False,
            message="b.mp4 fails at 00:00:01.200 and is a placeholder from there on: no more keyframes",
        ),
        LeaveOut(
            0,
            Fraction(0),
            sound=False,
            message="a.mp4 fails at 00:00:00.000 and is a placeholder from there on: empty",
        ),
    )


@pytest.mark.parametrize("of", [PICTURE, SOUND, FILE], ids=lambda of: of.track)
@pytest.mark.parametrize("device", [CPU, GPU], ids=lambda device: device.name)
def test_when_the_machine_is_short_a_task_is_repeated_with_less(of: Ending, device: RenderDevice) -> None:
    """And blamed on nobody: neither a recording nor the GPU."""
    short = death(of, KILL, device=device, shortage="its process is killed from outside (SIGKILL)")
    (decision,) = decide(short, ON_GPU if device is GPU else ON_CPU)
    warning = f"{of.name} is made once more, with less at a time: its process is killed from outside (SIGKILL)"
    assert decision == RetryWithLess(of.name, warning, pause_after(1))


def test_pauses_grow_up_to_a_few_seconds() -> None:
    pauses = [pause_after(count) for count in range(1, SHORTAGES)]
    assert pauses == sorted(pauses)
    assert sum(pauses) > 6
    assert max(pauses) <= LONGEST_PAUSE_S


def test_when_the_machine_stays_short_the_job_fails() -> None:
    short = ending(SOUND, shortage="too many files are open", error=ShortageError("too many files are open"))
    state = FailureState(shortages={SOUND.name: SHORTAGES - 1, "another": 3})
    (decision,) = decide(short, state)
    assert isinstance(decision, Fail)
    assert isinstance(decision.error, ShortageError)
    assert (
        str(decision.error) == f"the sound cannot be made: it was tried {SHORTAGES} times, and too many files are open"
    )
    assert isinstance(decide(short, FailureState(shortages={SOUND.name: SHORTAGES - 2}))[0], RetryWithLess)


def test_of_sources_that_need_too_much_memory_together_the_greediest_goes() -> None:
    greedy = Greedy(4, "d.mp4", Fraction(30), 900 << 20)
    dead = death(PICTURE, MEMORY, culprits=(), greediest=greedy)
    assert isinstance(decide(dead, ON_CPU)[0], Retry)
    again = FailureState(restarted=frozenset({PICTURE.name}))
    (decision,) = decide(dead, again)
    message = (
        "composing takes more than 4096 MiB of memory: d.mp4 is a placeholder from 00:00:30.000 on, since decoding "
        "it takes the most memory, 900 MiB alone"
    )
    assert decision == LeaveOut(4, Fraction(30), sound=False, message=message)
    assert isinstance(decide(death(PICTURE, CRASH, culprits=(), greediest=greedy), again)[0], Fail)


def test_only_what_killed_its_worker_alone_is_remembered() -> None:
    culprits = (Culprit(0, "a.webm", Fraction(0), CRASH),)
    (alone,) = decide(death(PICTURE, culprits=culprits), ON_CPU)
    (stopped,) = decide(ending(PICTURE, stops=(DecodeStop(0, "a.mp4", Fraction(0), "empty"),)), ON_CPU)
    assert isinstance(alone, LeaveOut)
    assert isinstance(stopped, LeaveOut)
    assert (alone.proven, stopped.proven) == (True, False)

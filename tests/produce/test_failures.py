"""What follows from each way in which a task can end. No process is started here."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Final

import pytest

from owtmix.base.errors import DestinationError, EncoderLost, InputError, MixError, RenderError
from owtmix.plan.device import CPU, RenderDevice
from owtmix.produce.failures import (
    Culprit,
    DecodeStop,
    Ending,
    Fail,
    FailureState,
    GiveUpGpu,
    GiveUpGpuEncoder,
    LeaveOut,
    Retry,
    TrySuspects,
    decide,
    proven_crashes,
    unproven_crashes,
)
from owtmix.workers.base import Death, DeathKind, Outcome, Task, TaskReporter

GPU: Final = RenderDevice("a GPU", 0, has_encoder=True)
CRASH: Final = Death(DeathKind.CRASHED, "crashes (SIGSEGV)")
KILL: Final = Death(DeathKind.KILLED, "crashes (SIGKILL)")
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
def test_an_error_fails_the_job(of: Ending, error: MixError) -> None:
    """Also a lost encoder, where the CPU encodes: there is no other."""
    assert decide(ending(of, error=error), ON_CPU) == (Fail(error),)


def test_a_gpu_encoder_that_is_lost_is_given_up() -> None:
    lost = ending(PICTURE, device=GPU, on_gpu_encoder=True, error=LOST)
    (decision,) = decide(lost, ON_GPU)
    assert decision == GiveUpGpuEncoder(f"{LOST}: the whole picture is encoded again, with x264")


def test_other_chunks_that_fail_with_a_lost_encoder_need_no_second_decision() -> None:
    assert decide(ending(PICTURE, device=GPU, on_gpu_encoder=True, error=LOST), FailureState(GPU)) == ()


@pytest.mark.parametrize("how", [CRASH, KILL, HANG], ids=lambda how: how.kind.value)
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
@pytest.mark.parametrize("how", [CRASH, KILL, HANG], ids=lambda how: how.kind.value)
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
        ),
        LeaveOut(
            1,
            Fraction(1),
            sound=False,
            message="decoding a.webm hangs: no progress for 60 s at 00:00:01.000: a placeholder from there on",
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
    dead = death(of, KILL, culprits=None if of is FILE else ())
    (decision,) = decide(dead, ON_CPU)
    assert isinstance(decision, Retry)
    assert decision.name == of.name
    assert decision.warning.startswith(f"the process that makes {of.name} crashes (SIGKILL); no recording is to blame")
    again = FailureState(restarted=frozenset({decision.name}))
    (decision,) = decide(dead, again)
    assert isinstance(decision, Fail)
    assert isinstance(decision.error, RenderError)
    words = f"{of.name} cannot be made: its process crashes (SIGKILL), and no recording is to blame"
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


class Trial(Task):
    result = type(None)
    name = "a.webm"

    def run(self, reporter: TaskReporter) -> None: ...


def test_a_trial_that_is_killed_from_outside_finds_no_culprit() -> None:
    survived, *dead = [Outcome(Trial(), death=how) for how in (None, CRASH, KILL, HANG)]
    assert proven_crashes([survived, *dead]) == [dead[0], dead[2]]
    assert unproven_crashes([survived, *dead]) == [dead[1]]

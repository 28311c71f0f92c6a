"""A session whose sender is connected by WebRTC."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from aiortc import RTCConfiguration, RTCPeerConnection

from owtmix.base.ids import StreamId
from owtmix.recorder.journal import Kind
from owtmix.recorder.rtp.offer import OfferError, answer_offer
from owtmix.recorder.rtp.receiver import EncodedReceiver, Sink
from owtmix.recorder.session import Session, SessionEvent, SessionSettings
from owtmix.recorder.track_journal import TrackJournal, TrackTime

_TIMES: Final[dict[Kind, TrackTime]] = {"audio": TrackTime(48_000), "video": TrackTime(90_000)}


class WebRtcSession(Session):
    """See the module; the arguments are those of ``Session``."""

    def __init__(
        self, name: str, stream: StreamId, began_us: int, settings: SessionSettings, on_event: SessionEvent
    ) -> None:
        super().__init__(name, stream, began_us, settings, on_event)
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._receivers: dict[TrackJournal, EncodedReceiver] = {}
        self._gone: set[EncodedReceiver] = set()

    async def answer(self, sdp: str) -> str:
        """The answer to an offer; called once. The session runs from then on.

        Raises:
            OfferError: The offer is not accepted. The session has ended.
        """
        try:
            for receiver in await answer_offer(self._connection, sdp, self.settings.ice):
                self._attach(receiver)
            await self._connection.setLocalDescription()
            answer = self._answer()
        except BaseException:
            await self._connection.close()
            raise
        self._connection.on("connectionstatechange", self._check_connection)
        self.begin()
        return answer

    @property
    def journals(self) -> list[TrackJournal]:
        """As ``Session.journals``."""
        return list(self._receivers)

    @property
    def alive_us(self) -> int:
        """As ``Session.alive_us``."""
        return max((r.reception.alive_us for r in self._receivers.values() if r.reception), default=0)

    def counters(self, journal: TrackJournal) -> dict[str, int]:
        """As ``Session.counters``."""
        reception = self._receivers[journal].reception
        if not reception:
            return {"frames": 0, "bytes": 0, "lost": 0, "late": 0}
        return asdict(reception.counters) | {"lost": reception.lost, "late": reception.late}

    async def close(self) -> None:
        """As ``Session.close``."""
        await self._connection.close()

    def _answer(self) -> str:
        answer = self._connection.localDescription.sdp
        if "a=candidate:" not in answer:
            raise OfferError("no address or port of this machine is free for media", status=503)
        return answer

    def _attach(self, receiver: EncodedReceiver) -> None:
        def need_key() -> None:
            if receiver.reception:
                receiver.reception.need_key()

        journal = self.make_journal(receiver.kind, _TIMES[receiver.kind], need_key)
        key_every_us = round(self.settings.key_every_s * 1e6)
        receiver.sink = Sink(
            lambda frame: self.write(journal, frame), journal.report, lambda: self._take_bye(receiver), key_every_us
        )
        self._receivers[journal] = receiver

    def _check_connection(self) -> None:
        state = self._connection.connectionState
        if state in {"failed", "closed"}:
            self.say_stop(f"the connection {'failed' if state == 'failed' else 'was closed'}")

    def _take_bye(self, receiver: EncodedReceiver) -> None:
        """The sender ends a track; with the last one that has begun, the session."""
        self._gone.add(receiver)
        if all(one in self._gone for one in self._receivers.values() if one.sender is not None):
            self.say_stop("the sender said goodbye")

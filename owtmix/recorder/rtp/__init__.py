"""RTP becomes encoded frames: no decoder, no thread.

``assembler``, ``reception`` and ``twcc`` are pure: packets and time in, frames and feedback out. ``transport``,
``receiver``, ``ice`` and ``install`` are the adapter to aiortc, and all that knows its inside; a contract test
(tests/recorder/rtp/test_contract.py) fails when that changes.
"""

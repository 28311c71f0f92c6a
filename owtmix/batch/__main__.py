"""``python -m owtmix.batch``."""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until signals are watched, one ends the process at once, without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from owtmix.batch.main import main

main()

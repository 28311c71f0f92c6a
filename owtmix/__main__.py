"""``python -m owtmix``."""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until signals are watched, one ends the process at once, without a traceback that a full pipe could hold up.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from owtmix.cli.main import main

main()

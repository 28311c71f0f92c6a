"""``python -m owtmix``."""

from __future__ import annotations

from owtmix.cli.main import main

main()

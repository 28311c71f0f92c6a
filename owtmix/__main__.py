"""``python -m owtmix``."""

from __future__ import annotations

from owtmix.cli import main

main()

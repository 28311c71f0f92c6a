"""``python -m owtmix.service``."""

from owtmix.service.main import main

main()

"""Many jobs: each is one ordinary run of ``owt-main``."""

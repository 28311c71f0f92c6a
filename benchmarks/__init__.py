"""How fast owtmix composes: ``python -m benchmarks`` is the harness, ``python -m benchmarks.lab`` has experiments."""

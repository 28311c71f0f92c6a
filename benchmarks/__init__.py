"""Measures how fast owtmix composes, beside other compositors and beside the cost of decoding and encoding alone.

``python -m benchmarks`` is the harness: scenes, engines, costs, quality, result files and ``docs/performance.md``.
``python -m benchmarks.lab`` lists the experiments, each about one question of its own.
"""

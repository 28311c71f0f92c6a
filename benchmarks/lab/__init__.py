"""Experiments, each about one question; ``python -m benchmarks.lab`` lists them.

An experiment is a module with a function ``main`` that takes its command line. The first line of its docstring is its
help. Experiments whose results stand in ``docs/performance.md`` have ``paragraphs`` that tell them.
"""

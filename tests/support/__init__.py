"""Helpers that several test folders and the benchmarks share.

``people`` makes recordings of generated people, ``room`` lays out a job of them, ``plans`` makes plans without media.
``store``, ``canvas``, ``output``, ``sources`` and ``progress`` have the fakes of the protocols of these names,
``executor`` and ``replacing`` executors that do tasks without workers, or other tasks than they are given. ``command``
installs and runs the command, ``fixtures`` has what conftest files import, and ``gpu`` tells which GPU the tests may
use. A helper that only one folder needs stays in that folder. Of the tests, the benchmarks import nothing but this
package.
"""

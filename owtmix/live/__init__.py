"""A room that is still being recorded is composed just behind live, from its journals.

Record first, compose behind: the planner and the renderer are those of finished recordings. What differs, since the
future is not known, is in docs/live.md.

``push`` is the process that sends a mix to one server of RTMP. It loads no media library.
"""

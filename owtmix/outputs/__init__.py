"""Outputs: files that are muxed from finished tracks, and read back before they are published.

The package knows containers, and the counts, times and duration that a plan requires of a finished file. It does not
know how tracks are made. The tasks of ``produce`` call it, in child processes.
"""

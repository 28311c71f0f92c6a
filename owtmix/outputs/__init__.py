"""What finished tracks become: files that are muxed and read back before anybody sees them.

It knows containers and what a plan promises of a finished file; it does not know how tracks are made. The tasks of
``produce`` call it, in child processes.
"""

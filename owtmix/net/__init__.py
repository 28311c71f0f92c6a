"""Which network addresses the program may connect to on behalf of a job file.

It knows HTTP and the operator's rules (``[network]`` in ``conf/owt.toml``), and nothing of jobs. ``notify`` and
``inputs`` use it for every connection to a host that a job file names.
"""

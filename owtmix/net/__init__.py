"""Protection against server-side request forgery: which addresses a job file can make this machine connect to.

The operator's rules are ``[network]`` in ``conf/owt.toml``. ``notify`` and ``inputs`` use the package for every
connection to a host that a job file names.
"""

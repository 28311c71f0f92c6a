"""Planning: a job, its index and the probed recordings become a render plan, by pure functions on plain data.

Everything that can be decided before rendering is in the plan: presence of streams, what each tile shows, chunk
boundaries, all encoder settings. The package imports no media library and is tested without media. ``render`` and
``produce`` execute a plan; ``cli`` prints it.
"""

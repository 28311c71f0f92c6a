"""Pure data and pure rules: a job, its index and the probed recordings become a render plan.

Everything that can be decided before the first pixel is decided here, as data: who is in the room when, what each
tile shows, where chunks begin, every encoder setting. It knows no media library, no arrays and no network, so that
all of it is tested without media. ``render`` and ``produce`` carry a plan out; ``cli`` shows it.
"""

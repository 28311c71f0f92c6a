"""Recordings and images arrive: they are located, measured, downloaded, and prefetched while others are composed.

It knows stores, the disk budget, and the tasks that read inputs. It does not know what is done with them. ``jobs``
asks it for everything that a job is made from; ``produce`` waits for what is still on its way.
"""

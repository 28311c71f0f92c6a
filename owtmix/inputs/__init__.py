"""Locates, measures, downloads and prefetches recordings, and loads watermark images.

It knows stores, the disk budget, and the tasks that read inputs. It does not know what is done with them. ``jobs``
asks it for everything that a job is made from; ``produce`` waits for what is still on its way.
"""

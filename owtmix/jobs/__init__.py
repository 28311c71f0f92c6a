"""One job from end to end: lock, work folder, steps, announcements, result.

It joins what the packages below can do, and is the only place that knows all of them. ``cli`` starts it for a person.
"""

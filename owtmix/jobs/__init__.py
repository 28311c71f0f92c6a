"""One job from end to end: options, lock, work folder, steps, announcements, result; and the public API.

It joins the packages below, and only it knows all of them. ``cli`` calls it for a person, ``owtmix`` for a program.
"""

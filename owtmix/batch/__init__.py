"""Many jobs: the queue, the journal of attempts, what follows from their ends, who runs them, and what is shown.

Each job is an ordinary run of ``owt-main`` in a process of its own, so a job that fails harms no other.
"""

"""The parts, each a module with a function ``run`` that takes the setting and yields findings."""

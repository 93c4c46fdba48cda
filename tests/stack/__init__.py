"""Checks of the running container stack: `python -m tests.stack.run` for Compose, `python -m
tests.stack.swarm` for Swarm.
"""

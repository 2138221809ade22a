"""Stands between the orchestrator and one program: starts it, watches it, ends all it started.

`runner.start` runs it as a process of its own, without site packages; so it imports nothing of
this package but itself, and nothing that is slow to import. What `main` says to the orchestrator
and hears from it is in its docstring.
"""

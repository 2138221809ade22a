"""An orchestrator in memory, for tests of adapters and of whatever else stands on the engine.

`engine.engine` gives the orchestrator, and `engine.engine_with` one that asks an adapter of your
own; `answers` has agents that follow a script, `contracts` the contracts and tasks to work under,
and `world` the parts: a clock that stands still, a log, a branch. Nothing in here knows git, files
or processes, so a run takes milliseconds. docs/api.md shows how it is used.
"""

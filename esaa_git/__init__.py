"""git-esaa: Event Sourcing for Autonomous Agents, on git."""

__version__ = "0.1.0"

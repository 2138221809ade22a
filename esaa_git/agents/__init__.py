"""Agents of every kind. `adapter` is public; all else is internal and may change."""

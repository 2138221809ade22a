"""A finished run and room for clones of it, for more than one file of attacks."""

from __future__ import annotations

from tests.attacks.test_trust import finished, scene

__all__ = ["finished", "scene"]

"""Executable policy: the rules of POLICY.yaml, what they see, and what they say of it."""

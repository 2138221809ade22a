"""Signatures, private keys, and who may sign. Internal: may change."""

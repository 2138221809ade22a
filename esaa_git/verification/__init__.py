"""The checks 1 to 11, the audit of a log, pins and checkpoints. Internal: may change."""

"""What decides: the run, the attempts, what becomes of an answer. Internal: may change."""

"""Remotes: fetch, push, the log that several machines share. Internal: may change."""

"""The log on git. Internal: may change."""

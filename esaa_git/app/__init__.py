"""The use cases: one module each, values in, values out. Internal: may change."""

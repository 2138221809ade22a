"""Checkouts of people, and those that are thrown away. Internal: may change."""

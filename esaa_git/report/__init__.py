"""Events, states and differences as text. Internal: may change."""

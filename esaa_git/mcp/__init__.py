"""The server for interactive agents. Internal: may change."""

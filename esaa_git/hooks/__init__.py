"""What runs inside git's own hooks. Internal: may change."""

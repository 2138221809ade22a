"""What is fast, against what: every figure is a ratio taken within one run (see `__main__`)."""

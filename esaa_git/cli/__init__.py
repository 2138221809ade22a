"""The command line: words, options, tables and JSON. Internal: may change."""

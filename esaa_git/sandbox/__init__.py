"""Any program, confined and supervised. Internal: may change."""

"""Long work: one job is one of our own commands as a subprocess."""

"""Commands: each prints and picks an exit code, and holds no logic of its own."""

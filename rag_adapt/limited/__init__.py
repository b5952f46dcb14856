"""Parsers of what strangers sent run here: in a process of their own, with limits."""

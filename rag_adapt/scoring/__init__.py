"""Scorers: how right an answer is. They do not know who gave it or how."""

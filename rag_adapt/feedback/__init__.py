"""Feedback: votes and better answers, decided by somebody before anything learns from them."""

"""Engines: whatever turns a call into an answer. They do not know skills, routes or settings."""

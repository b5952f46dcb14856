"""The wire models of the service: what clients send and what they get."""

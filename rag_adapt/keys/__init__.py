"""API keys: who may call the service, and what for."""

"""The HTTP service: endpoints, problems, security, metrics."""

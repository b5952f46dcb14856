"""The service's inside: model names become ready routes, and answers leave traces."""

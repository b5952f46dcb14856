"""What answers calls: a model in this process, a server, a script, and a cache before them."""

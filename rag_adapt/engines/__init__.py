"""What answers calls: the model in this process, a server, a script, and a cache over any of them."""

"""LoRA adapters: rows to train on, training, the content-addressed store, cards and probes."""

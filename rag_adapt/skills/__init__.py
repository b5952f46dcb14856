"""Skills: what a task is, its items and its documents. No model, no scorer, no configuration."""

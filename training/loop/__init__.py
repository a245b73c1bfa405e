"""The training loop that every program shares, and its checkpoints."""

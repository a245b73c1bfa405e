"""Nearest neighbours among the embeddings of a release: by its index, or exactly."""

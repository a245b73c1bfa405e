"""How far the embeddings of two releases lie apart, and what to do about it."""

"""The FAISS structure of a release: planned, trained, filled, tuned."""

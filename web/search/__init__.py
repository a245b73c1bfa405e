"""Search: form, hits, uploads, JSON."""

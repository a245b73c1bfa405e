"""What is on disk to stay: files put in place whole, locks, checksums, and how shards are recorded."""

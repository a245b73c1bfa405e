"""From stamps to embedding shards, on one machine or many."""

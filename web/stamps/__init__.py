"""Pictures of stamps, rendered on demand and kept in bounded caches."""

"""The hunt log: one SQLite file of events that are only ever added to."""

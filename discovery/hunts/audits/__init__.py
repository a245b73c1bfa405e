"""Audits: how many targets a release holds, how many of them a hunt has found, and when to stop."""

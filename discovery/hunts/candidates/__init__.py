"""Candidates of a round: every allowed object, or a pool from the index."""

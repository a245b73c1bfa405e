"""``discovery hunt``: its verbs."""

"""Ranking models that learn from few labels, one a module, and the linear algebra under them."""

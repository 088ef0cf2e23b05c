"""Trials: the declared grid, the plan of its work, the store, and the runner."""
